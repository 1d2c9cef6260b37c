"""A U-Net with a standard network as its encoder."""

import keras

from keras_wsseg.arguments import check_number
from keras_wsseg.layers import Standardize, UpsampleLike
from keras_wsseg.models.blocks import (
    check_at_least,
    check_dropout,
    check_one_of,
    conv,
    conv_bn_relu,
    coupled_l2,
)
from keras_wsseg.models.encoder import backbone_strides, encode

_UP = (16, 8, 4, 2, 1)
_MOMENTUM_FROM_SCRATCH = 0.9


def EncoderUNet(
    num_classes,
    backbone="MobileNetV2",
    weights=None,
    frozen=None,
    channels=3,
    value_range=(0, 255),
    filters=(256, 128, 64, 32, 16),
    output_stride=1,
    dropout=0.0,
    weight_decay=0.0,
    encoder_momentum=None,
    name="encoder_unet",
):
    """A U-Net on any supported network of `keras.applications`, from images of any size to logits.

    It combines pretrained features with a light decoder; with a frozen encoder only the decoder is trained,
    which lets regularized losses find objects without any labeled pixel. Every level of the decoder upsamples
    the one below by repeating pixels, concatenates the encoder's features of its stride, and applies two
    convolutions with batch normalization and ReLU. Where the encoder has no features, at stride 1 and for
    ConvNeXt at 2, the image itself is concatenated, average-pooled to the stride.

    Args:
        num_classes: number of classes, at least 1.
        backbone: the name of a network in `keras.applications` whose layers pad to "same": any MobileNet,
            ResNet, EfficientNet, ConvNeXt, DenseNet or VGG; or `"resnet18"`, `"resnet34"`, `"resnet38"`.
        weights: weights of the encoder. None for random weights; for `keras.applications`, `"imagenet"` or
            the path of a file; for the ResNets of this library, the path of a file, see
            `load_resnet_weights`.
        frozen: whether the encoder, including its batch normalization, is not trained. None: frozen if
            `weights` are given, else trained. True without `weights` is for an encoder whose weights are set
            afterwards by `copy_weights` or `load_weights`; a random frozen encoder is useless.
        channels: channels of the images. Gray images (1 channel) are repeated to the channels of the encoder,
            so that they can be used with pretrained weights.
        value_range: the values of black and white in the input images.
        filters: channels of the decoder at strides 16, 8, 4, 2 and 1; those for strides below
            `output_stride`, or not below the stride of the encoder's last features, are unused.
        output_stride: image pixels per logit along each axis, 1, 2, 4, 8 or 16; sizes are rounded up.
        dropout: rate of dropout on the encoder's last features, in [0, 1).
        weight_decay: coupled L2 on all trained convolution kernels: `weight_decay * w` is added to each
            gradient with any optimizer.
        encoder_momentum: momentum of the moving averages in the encoder's batch normalization, in [0, 1).
            None: 0.9 without `weights`, since with the 0.99 or 0.999 of `keras.applications` a network
            trained from random weights needs thousands of steps before inference works; the network's own
            with `weights`.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to float32 logits
        `(batch, ceil(height / output_stride), ceil(width / output_stride), num_classes)`.

    Raises:
        ValueError: if an argument is out of range, or the weights do not match the backbone.
        FileNotFoundError: if `weights` is the path of a file that does not exist.

    Example:

    >>> import numpy as np
    >>> segmenter = EncoderUNet(num_classes=4, backbone="resnet18", filters=(8, 8, 8, 8, 8))
    >>> segmenter(np.zeros((1, 33, 41, 3), "uint8")).shape.as_list()
    [1, 33, 41, 4]

    Source: Ronneberger, Fischer, Brox 2015, arXiv:1505.04597, on an encoder as in Veksler 2020, "Regularized
    Loss for Weakly Supervised Single Class Semantic Segmentation". Departures: a 1x1 convolution reduces the
    channels before each upsampling, and the image is concatenated at the last level.
    """
    filters = tuple(filters)
    if len(filters) != len(_UP):
        raise ValueError(f"`filters` must be five numbers, for strides {_UP}. Received: filters={filters}")
    check_at_least(1, num_classes=num_classes, channels=channels)
    for count in filters:
        check_at_least(1, filters=count)
    check_one_of(sorted(_UP), output_stride=output_stride)
    check_dropout(dropout)
    if encoder_momentum is None:
        encoder_momentum = _MOMENTUM_FROM_SCRATCH if weights is None else None
    else:
        check_number("encoder_momentum", encoder_momentum, low=0, below=1)
    regularizer = coupled_l2(weight_decay)

    inputs = keras.Input((None, None, channels), dtype="float32", name="image")
    strides = backbone_strides(backbone)
    features = encode(
        inputs,
        backbone,
        strides,
        weights=weights,
        value_range=value_range,
        weight_decay=weight_decay,
        frozen=weights is not None if frozen is None else bool(frozen),
        momentum=encoder_momentum,
    )
    skips = dict(zip(strides, features, strict=True))
    x = skips[strides[-1]]
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    for stride, count in zip(_UP, filters, strict=True):
        if stride < output_stride:
            break
        if stride >= strides[-1]:
            continue
        skip = skips[stride] if stride in skips else _image(inputs, value_range, stride)
        x = conv(x, count, 1, f"up{stride}_reduce", regularizer=regularizer)
        x = UpsampleLike(name=f"up{stride}_upsample")(x, skip)
        x = keras.layers.Concatenate(name=f"up{stride}_concat")([x, skip])
        x = conv_bn_relu(x, count, 3, f"up{stride}_0", regularizer=regularizer)
        x = conv_bn_relu(x, count, 3, f"up{stride}_1", regularizer=regularizer)
    logits = conv(x, num_classes, 1, "logits", regularizer=regularizer, dtype="float32")
    return keras.Model(inputs, logits, name=name)


def _image(inputs, value_range, stride):
    # In [-1, 1], whatever the range of the encoder's weights, some of which expect values in the hundreds.
    x = Standardize(value_range, name=f"image{stride}")(inputs)
    if stride == 1:
        return x
    return keras.layers.AveragePooling2D(stride, padding="same", name=f"image{stride}_pool")(x)
