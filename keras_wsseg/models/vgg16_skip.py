"""VGG16 with a decoder on skip connections."""

import keras

from keras_wsseg.layers import ResizeLike, UpsampleLike
from keras_wsseg.models.blocks import (
    STRIDES,
    check_at_least,
    check_dropout,
    check_one_of,
    conv,
    conv_bn_relu,
    coupled_l2,
)
from keras_wsseg.models.encoder import encode

_LEVELS = (16, 8, 4, 2)


def VGG16Skip(
    num_classes,
    weights=None,
    channels=3,
    value_range=(0, 255),
    filters=(256, 128, 64, 32),
    output_stride=4,
    dropout=0.0,
    weight_decay=0.0,
    name="vgg16_skip",
):
    """VGG16 without its last pooling and dense layers, with a decoder on 1x1 skip connections, to logits.

    The segmenter for learning from image-level tags with an adaptive prior: a classifier's features represent
    the tagged classes, the skip connections add edges, and at a quarter of the image's size the neighborhood
    loss is cheap. At strides 16, 8, 4 and 2, as far as required by `output_stride`, a 1x1 convolution reduces
    the encoder's last features of that stride, conv5_3, conv4_3, conv3_3 and conv2_2. The decoder upsamples
    the level below by repeating pixels, concatenates the reduced features, as in a U-Net, and applies one 3x3
    convolution. All of these convolutions have batch normalization and ReLU, since the magnitude of VGG's
    features differs by two orders between levels.

    Args:
        num_classes: number of classes, at least 1.
        weights: weights of the encoder. None for random weights, `"imagenet"`, or the path of a file for
            `keras.applications.VGG16` without its top.
        channels: channels of the images. Gray images (1 channel) are repeated to the channels of the encoder,
            so that they can be used with pretrained weights.
        value_range: the values of black and white in the input images.
        filters: channels of the decoder at strides 16, 8, 4 and 2; those for strides below `output_stride`
            are unused.
        output_stride: image pixels per logit along each axis: 4, 2, or 1, for which the logits of stride 2
            are resized bilinearly. Sizes are rounded up.
        dropout: rate of dropout on the encoder's last features, in [0, 1).
        weight_decay: coupled L2 on all convolution kernels: `weight_decay * w` is added to each gradient with
            any optimizer.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to float32 logits
        `(batch, ceil(height / output_stride), ceil(width / output_stride), num_classes)`. Its layer `vgg16`
        is the encoder, whose layer names begin with `vgg16_`:
        `LearningRateMultipliers(SGD(0.01, momentum=0.9), {"vgg16": 0.1})` is the published setting.

    Raises:
        ValueError: if an argument is out of range, or the weights do not match.
        FileNotFoundError: if `weights` is the path of a file that does not exist.

    Example:

    >>> import numpy as np
    >>> segmenter = VGG16Skip(num_classes=4, filters=(8, 8, 8, 8))
    >>> segmenter(np.zeros((1, 33, 41, 3), "uint8")).shape.as_list()
    [1, 9, 11, 4]

    Source: the segmenter described by Pandey, Dukkipati 2017, arXiv:1705.01262, on Simonyan, Zisserman 2014,
    arXiv:1409.1556. How the skip connections are merged and the channels of the decoder are choices of this
    library. Departures: the paper applies batch normalization after the ReLU and describes several
    convolutions per level; here a level has one, normalized before the ReLU.
    """
    filters = tuple(filters)
    if len(filters) != len(_LEVELS):
        raise ValueError(
            f"`filters` must be four numbers, for strides {_LEVELS}. Received: filters={filters}"
        )
    check_at_least(1, num_classes=num_classes, channels=channels)
    for count in filters:
        check_at_least(1, filters=count)
    check_one_of((1, 2, 4), output_stride=output_stride)
    check_dropout(dropout)
    regularizer = coupled_l2(weight_decay)

    inputs = keras.Input((None, None, channels), dtype="float32", name="image")
    finest = max(output_stride, _LEVELS[-1])
    strides = tuple(stride for stride in STRIDES if finest <= stride <= _LEVELS[0])
    features = encode(
        inputs,
        "VGG16",
        strides,
        weights=weights,
        value_range=value_range,
        weight_decay=weight_decay,
        prefix="vgg16",
    )
    skips = dict(zip(strides, features, strict=True))
    x = None
    for stride, count in zip(_LEVELS, filters, strict=True):
        if stride < finest:
            break
        skip = skips[stride]
        if x is None and dropout:
            skip = keras.layers.Dropout(dropout, name="dropout")(skip)
        skip = conv_bn_relu(skip, count, 1, f"skip{stride}", regularizer=regularizer)
        if x is not None:
            x = UpsampleLike(name=f"up{stride}_upsample")(x, skip)
            skip = keras.layers.Concatenate(name=f"up{stride}_concat")([x, skip])
        x = conv_bn_relu(skip, count, 3, f"up{stride}", regularizer=regularizer)
    logits = conv(x, num_classes, 1, "logits", regularizer=regularizer, dtype="float32")
    if output_stride == 1:
        logits = ResizeLike(dtype="float32", name="logits_resize")(logits, inputs)
    return keras.Model(inputs, logits, name=name)
