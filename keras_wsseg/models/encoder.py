"""Image normalization and encoder features, for every segmenter with a backbone."""

import functools

import keras

from keras_wsseg.layers import IMAGENET_MEAN, IMAGENET_STD, CropToStride, PadToMultiple, Standardize
from keras_wsseg.models.application import (
    application_encoder,
    application_preprocessing,
    application_strides,
)
from keras_wsseg.models.blocks import STRIDES
from keras_wsseg.models.resnet import BLOCKS, resnet_encoder
from keras_wsseg.models.resnet38 import PUBLISHED_WIDTH, RESNET38, RESNET38_STRIDES, resnet38_encoder

_STRIDES_WRITTEN_HERE = {**dict.fromkeys(BLOCKS, STRIDES), RESNET38: RESNET38_STRIDES}


def encode(
    inputs,
    backbone,
    strides,
    weights=None,
    value_range=(0, 255),
    weight_decay=0.0,
    frozen=False,
    momentum=None,
    width=None,
    prefix=None,
):
    """Features of an image at several strides; the image is normalized as the encoder's weights require.

    Args:
        inputs: images in `value_range`, a symbolic `(batch, height, width, channels)`. Gray images are
            repeated to the three channels of a color encoder.
        backbone: `"resnet18"`, `"resnet34"`, `"resnet38"`, or the name of a network in `keras.applications`.
        strides: increasing, each one of `backbone_strides`.
        weights: None, or weights accepted by the backbone: see `application_encoder`, `resnet_encoder` and
            `resnet38_encoder`.
        value_range: the values of black and white in the images.
        weight_decay: coupled L2 on the encoder's convolution kernels.
        frozen: whether the encoder is not trained; its batch normalization then always runs in inference
            mode.
        momentum: momentum of the encoder's batch normalization, or None for the network's own.
        width: channels of the first convolution of `"resnet38"`, the only backbone of variable width; None
            for the published 64.
        prefix: prefix for the layer names of a network in `keras.applications`, or None. Variable paths
            contain the name of the layer but not of the encoder model, so a prefix is required for
            `LearningRateMultipliers` to match all layers of an encoder.

    Returns:
        A list of symbolic features `(batch, ceil(height / stride), ceil(width / stride), channels)`.

    Raises:
        ValueError: if an argument is invalid for the backbone.
        FileNotFoundError: if `weights` is the path of a file that does not exist.

    Example:

    >>> inputs = keras.Input((97, 131, 3))
    >>> [x.shape for x in encode(inputs, "resnet18", (2, 8))]
    [(None, 49, 66, 64), (None, 13, 17, 512)]
    """
    written_here = backbone in _STRIDES_WRITTEN_HERE
    if width is not None and backbone != RESNET38:
        raise ValueError(f"`width` must be None unless `backbone` is 'resnet38'. Received: width={width}")
    if prefix is not None and written_here:
        raise ValueError(
            f"`prefix` must be None unless `backbone` is in keras.applications. Received: prefix={prefix!r}"
        )
    if backbone == RESNET38:
        make = functools.partial(resnet38_encoder, width=PUBLISHED_WIDTH if width is None else width)
    else:
        make = functools.partial(resnet_encoder if written_here else application_encoder, backbone)
    if written_here:
        preprocessing = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
        if weights == "imagenet":
            raise ValueError(
                f"`weights` of {backbone} must be None or the path of a local file, since none are published "
                "for Keras. Received: weights='imagenet'"
            )
    else:
        preprocessing = application_preprocessing(backbone)
    channels = inputs.shape[-1]
    if channels in (1, 3):
        channels = 3
    else:
        # The constants for RGB do not apply to other channels.
        preprocessing = {}
        if weights is not None:
            raise ValueError(f"`channels` must be 1 or 3 if weights are given. Received: channels={channels}")
    standardized = Standardize(value_range, **preprocessing, name="standardize")(inputs)
    encoder = make(strides=strides, channels=channels, weights=weights, weight_decay=weight_decay)
    if prefix is not None:
        encoder = _prefixed(encoder, prefix)
    if momentum is not None:
        _set_momentum(encoder, momentum)
    encoder.trainable = not frozen
    if written_here:
        return encoder(standardized)
    features = encoder(PadToMultiple(STRIDES[-1], name="pad")(standardized))
    return [
        CropToStride(stride, name=f"crop{stride}")(x, standardized)
        for stride, x in zip(strides, features, strict=True)
    ]


def backbone_strides(backbone):
    """The strides at which a backbone provides features.

    >>> backbone_strides("resnet18"), backbone_strides("ConvNeXtTiny"), backbone_strides("resnet38")
    ((2, 4, 8, 16, 32), (4, 8, 16, 32), (1, 2, 4, 8))
    """
    return _STRIDES_WRITTEN_HERE.get(backbone) or application_strides(backbone)


def _prefixed(network, prefix):
    def renamed(layer):
        return type(layer).from_config({**layer.get_config(), "name": f"{prefix}_{layer.name}"})

    clone = keras.models.clone_model(network, clone_function=renamed)
    clone.set_weights(network.get_weights())
    return clone


def _set_momentum(layer, momentum):
    for inner in getattr(layer, "layers", []):
        _set_momentum(inner, momentum)
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = momentum
