"""A small U-Net."""

import keras

from keras_wsseg.layers import Standardize, UpsampleLike
from keras_wsseg.models.blocks import (
    check_at_least,
    check_dropout,
    check_one_of,
    conv,
    conv_bn_relu,
    coupled_l2,
)


def UNet(
    num_classes,
    filters=(16, 32, 64, 128),
    channels=3,
    value_range=(0, 255),
    output_stride=1,
    dropout=0.0,
    weight_decay=0.0,
    name="unet",
):
    """A U-Net small enough to train from scratch on a CPU, from images of any size to logits.

    Each level has two 3x3 convolutions with batch normalization and ReLU. Levels are downsampled by max
    pooling, and upsampled by a 1x1 convolution, pixel repetition and concatenation. The first layer
    normalizes the image.

    Args:
        num_classes: number of classes, at least 1.
        filters: channels of each level, from full resolution down; level `k` works at stride `2**k`.
        channels: channels of the images, 1 for gray, 3 for color.
        value_range: the values of black and white in the input images.
        output_stride: image pixels per logit along each axis, 1, 2, 4, … up to the stride of the lowest
            level. Above 1 the decoder ends early; sizes are rounded up.
        dropout: rate of dropout on the lowest level, in [0, 1).
        weight_decay: coupled L2 on the convolution kernels: `weight_decay * w` is added to each gradient with
            any optimizer.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to float32 logits
        `(batch, ceil(height / output_stride), ceil(width / output_stride), num_classes)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> import numpy as np
    >>> segmenter = UNet(num_classes=4, filters=(4, 8))
    >>> segmenter(np.zeros((1, 97, 131, 3), "uint8")).shape.as_list()
    [1, 97, 131, 4]

    Source: Ronneberger, Fischer, Brox 2015, arXiv:1505.04597. Departures: size-preserving padding, batch
    normalization, pixel repetition instead of transposed convolutions.
    """
    filters = tuple(filters)
    if not filters:
        raise ValueError(f"`filters` must have at least one level. Received: filters={filters}")
    check_at_least(1, num_classes=num_classes, channels=channels)
    for count in filters:
        check_at_least(1, filters=count)
    check_one_of([2**level for level in range(len(filters))], output_stride=output_stride)
    check_dropout(dropout)
    regularizer = coupled_l2(weight_decay)

    inputs = keras.Input((None, None, channels), dtype="float32", name="image")
    x = Standardize(value_range, name="standardize")(inputs)
    skips = []
    for level, count in enumerate(filters):
        if level:
            x = keras.layers.MaxPooling2D(padding="same", name=f"down{level}_pool")(x)
        x = conv_bn_relu(x, count, 3, f"down{level}_0", regularizer=regularizer)
        x = conv_bn_relu(x, count, 3, f"down{level}_1", regularizer=regularizer)
        skips.append(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    for level in reversed(range(output_stride.bit_length() - 1, len(filters) - 1)):
        x = conv(x, filters[level], 1, f"up{level}_reduce", regularizer=regularizer)
        x = UpsampleLike(name=f"up{level}_upsample")(x, skips[level])
        x = keras.layers.Concatenate(name=f"up{level}_concat")([x, skips[level]])
        x = conv_bn_relu(x, filters[level], 3, f"up{level}_0", regularizer=regularizer)
        x = conv_bn_relu(x, filters[level], 3, f"up{level}_1", regularizer=regularizer)
    logits = conv(x, num_classes, 1, "logits", regularizer=regularizer, dtype="float32")
    return keras.Model(inputs, logits, name=name)
