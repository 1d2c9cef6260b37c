"""The wide ResNet-38 as an encoder of a segmenter, which Keras does not provide."""

import pathlib

import keras
from keras import layers

from keras_wsseg.models.blocks import both_sides_conv, check_at_least, check_one_of, coupled_l2
from keras_wsseg.models.resnet_weights import load_resnet_weights

RESNET38 = "resnet38"
RESNET38_STRIDES = (1, 2, 4, 8)
PUBLISHED_WIDTH = 64

# (units, width factors of the first and last convolution, stride, dilation) of stages b2 to b5.
_STAGES = ((3, 2, 2, 2, 1), (3, 4, 4, 2, 1), (6, 8, 8, 2, 1), (3, 8, 16, 1, 2))
# (width factors of the first, second and last convolution, dropout) of stages b6 and b7, which dilate by 4.
_BOTTLENECKS = ((8, 16, 32, 0.3), (16, 32, 64, 0.5))


def resnet38_encoder(strides=(8,), channels=3, weights=None, weight_decay=0.0, width=PUBLISHED_WIDTH):
    """The convolutional part of the wide ResNet-38, from a standardized image to its features.

    The backbone of AffinityNet and of reliable region mining, designed for class activation maps: its last
    three stages dilate by 2, 4 and 4, so that the 4096 channels at the end keep stride 8. It has 105 million
    weights; a smaller `width` gives a network of the same structure for small training runs.

    Every unit applies normalization and ReLU before each convolution,
    `x + conv(relu(bn(conv(relu(bn(x))))))`; where a unit changes the stride or the channels, a 1x1
    convolution of `relu(bn(x))` replaces the first `x`. The units of the last two stages are bottlenecks with
    dropout of whole channels.

    Args:
        strides: image pixels per feature along each axis, increasing, each one of 1, 2, 4 and 8.
        channels: channels of the image.
        weights: None for random weights (He normal), or the path of a file, `.weights.h5` or `.keras`, of
            such an encoder, or of a model with its layers, saved by Keras.
        weight_decay: coupled L2 on the convolution kernels: `weight_decay * w` is added to each gradient.
        width: channels of the first convolution, 64 as published; all others are proportional to it.

    Returns:
        A `keras.Model` named `resnet38` from `(batch, height, width, channels)` to a list of the
        features at each of `strides`, `(batch, ceil(height / stride), ceil(width / stride), channels)`,
        after ReLU: with 64, 128, 256 and 4096 channels for a `width` of 64. The names of all layers begin
        with `resnet38_`, so that `LearningRateMultipliers` can match them.

    Raises:
        ValueError: if an argument is out of range, or the file does not match.
        FileNotFoundError: if there is no such file.

    Example:

    >>> import numpy as np
    >>> low, high = resnet38_encoder((2, 8), width=2)(np.zeros((1, 33, 41, 3), "float32"))
    >>> low.shape.as_list(), high.shape.as_list()
    ([1, 17, 21, 4], [1, 5, 6, 128])

    Source: Wu, Shen, van den Hengel 2016, arXiv:1611.10080, model A1; dilations and dropout as in Ahn, Kwak
    2018, "Learning Pixel-level Semantic Affinity with Image-level Supervision", arXiv:1803.10464.
    """
    for stride in strides:
        check_one_of(RESNET38_STRIDES, strides=stride)
    check_at_least(1, channels=channels, width=width)
    regularizer = coupled_l2(weight_decay)

    inputs = keras.Input((None, None, channels), dtype="float32", name="standardized")
    x = _conv(inputs, width, 3, "conv1a", regularizer=regularizer)
    taps, stride = {}, 1
    for stage, (units, between, end, step, dilation) in enumerate(_STAGES, start=2):
        for unit in range(units):
            x, rectified = _unit(
                x,
                (between * width, end * width),
                f"b{stage}_{unit}",
                step=step if unit == 0 else 1,
                # The input of the dilated stage's first unit still has its original resolution.
                dilations=(1 if unit == 0 else dilation, dilation),
                regularizer=regularizer,
            )
            if unit == 0:
                taps[stride] = rectified
        stride *= step
    for stage, (first, second, end, dropout) in enumerate(_BOTTLENECKS, start=2 + len(_STAGES)):
        widths = (first * width, second * width, end * width)
        x = _bottleneck(x, widths, f"b{stage}_0", dropout, regularizer)
    taps[stride] = _rectified(x, "b7")
    encoder = keras.Model(inputs, [taps[stride] for stride in strides], name=RESNET38)
    if weights is not None:
        if not str(weights).endswith((".weights.h5", ".keras")):
            raise ValueError(
                f"`weights` of resnet38 must end in .weights.h5 or .keras. Received: weights={str(weights)!r}"
            )
        load_resnet_weights(encoder, pathlib.Path(weights))
    return encoder


def _unit(x, channels, name, step, dilations, regularizer):
    rectified = _rectified(x, f"{name}_a")
    shortcut = x
    if step > 1 or x.shape[-1] != channels[-1]:
        shortcut = _conv(rectified, channels[-1], 1, f"{name}_shortcut", step, regularizer=regularizer)
    y = _conv(rectified, channels[0], 3, f"{name}_conv_a", step, dilations[0], regularizer)
    y = _rectified(y, f"{name}_b")
    y = _conv(y, channels[1], 3, f"{name}_conv_b", dilation=dilations[1], regularizer=regularizer)
    return layers.Add(name=f"{RESNET38}_{name}_add")([shortcut, y]), rectified


def _bottleneck(x, channels, name, dropout, regularizer):
    rectified = _rectified(x, f"{name}_a")
    shortcut = _conv(rectified, channels[-1], 1, f"{name}_shortcut", regularizer=regularizer)
    y = _conv(rectified, channels[0], 1, f"{name}_conv_a", regularizer=regularizer)
    y = _dropped(_rectified(y, f"{name}_b"), f"{name}_b", dropout)
    y = _conv(y, channels[1], 3, f"{name}_conv_b", dilation=4, regularizer=regularizer)
    y = _dropped(_rectified(y, f"{name}_c"), f"{name}_c", dropout)
    y = _conv(y, channels[2], 1, f"{name}_conv_c", regularizer=regularizer)
    return layers.Add(name=f"{RESNET38}_{name}_add")([shortcut, y])


def _conv(x, filters, kernel_size, name, strides=1, dilation=1, regularizer=None):
    return both_sides_conv(x, filters, kernel_size, f"{RESNET38}_{name}", strides, dilation, regularizer)


def _rectified(x, name):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{RESNET38}_{name}_bn")(x)
    return layers.ReLU(name=f"{RESNET38}_{name}_relu")(x)


def _dropped(x, name, rate):
    return layers.SpatialDropout2D(rate, name=f"{RESNET38}_{name}_dropout")(x)
