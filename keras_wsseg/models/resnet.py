"""ResNet-18 and ResNet-34 as encoders of a segmenter, which Keras does not provide."""

import keras
from keras import layers

from keras_wsseg.models.blocks import STRIDES, both_sides_conv, check_at_least, check_one_of, coupled_l2
from keras_wsseg.models.resnet_weights import load_resnet_weights

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def resnet_encoder(name, strides=(4, 16), channels=3, weights=None, weight_decay=0.0):
    """The convolutional part of a ResNet, from a standardized image to its features at several strides.

    Layers, padding and names follow torchvision (`layer1.0.conv1` is named `layer1_0_conv1`), so that weights
    trained there give the same features here. If the last of `strides` is below 32, the last stages keep the
    resolution: their stride becomes 1 and all later convolutions are dilated instead, which leaves the
    features unchanged at the pixels that a stride would have kept.

    Args:
        name: `"resnet18"` or `"resnet34"`.
        strides: image pixels per feature along each axis, increasing, each one of 2, 4, 8, 16 and 32; the
            last, at least 8, is the stride of the whole network.
        channels: channels of the image.
        weights: None for random weights (He normal), or the path of a file: see `load_resnet_weights`.
        weight_decay: coupled L2 on the convolution kernels: `weight_decay * w` is added to each gradient.

    Returns:
        A `keras.Model` from `(batch, height, width, channels)` to a list of the features at each of
        `strides`, `(batch, ceil(height / stride), ceil(width / stride), channels)`: 64 channels of the first
        convolution at 2, the last stage of that stride at the others, 512 channels at the end.

    Raises:
        ValueError: if an argument is out of range, or the file does not match.
        FileNotFoundError: if there is no such file.

    Example:

    >>> import numpy as np
    >>> low, high = resnet_encoder("resnet18")(np.zeros((1, 33, 41, 3), "float32"))
    >>> low.shape.as_list(), high.shape.as_list()
    ([1, 9, 11, 64], [1, 3, 3, 512])

    Source: He, Zhang, Ren, Sun 2015, arXiv:1512.03385; dilation after Chen et al. 2017, arXiv:1706.05587.
    """
    check_one_of(BLOCKS, backbone=name)
    for stride in strides:
        check_one_of(STRIDES, strides=stride)
    if strides[-1] < 8:
        raise ValueError(f"`strides` must end at 8, 16 or 32. Received: strides={tuple(strides)}")
    check_at_least(1, channels=channels)
    regularizer = coupled_l2(weight_decay)

    inputs = keras.Input((None, None, channels), dtype="float32", name="standardized")
    x = both_sides_conv(inputs, 64, 7, "conv1", strides=2, regularizer=regularizer)
    x = layers.ReLU(name="relu")(_batch_norm(x, "bn1"))
    taps = {2: x}
    # The features are non-negative here, so zero padding does not change the maximum.
    x = layers.ZeroPadding2D(1, name="maxpool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="maxpool")(x)
    stride, dilation = 4, 1
    for stage, blocks in enumerate(BLOCKS[name]):
        filters = 64 * 2**stage
        for block in range(blocks):
            shrinks = stage > 0 and block == 0
            step = 2 if shrinks and stride < strides[-1] else 1
            # The input of the convolution whose stride was removed still has its original resolution.
            first_dilation = dilation
            if shrinks:
                stride, dilation = stride * step, dilation * 2 // step
            x = _basic_block(
                x,
                filters,
                f"layer{stage + 1}_{block}",
                strides=step,
                dilations=(first_dilation, dilation),
                project=shrinks,
                regularizer=regularizer,
            )
        taps[stride] = x
    encoder = keras.Model(inputs, [taps[stride] for stride in strides], name=name)
    if weights is not None:
        load_resnet_weights(encoder, weights)
    return encoder


def _basic_block(x, filters, name, strides, dilations, project, regularizer):
    y = both_sides_conv(x, filters, 3, f"{name}_conv1", strides, dilations[0], regularizer)
    y = layers.ReLU(name=f"{name}_relu1")(_batch_norm(y, f"{name}_bn1"))
    y = both_sides_conv(y, filters, 3, f"{name}_conv2", dilation=dilations[1], regularizer=regularizer)
    y = _batch_norm(y, f"{name}_bn2")
    if project:
        x = both_sides_conv(x, filters, 1, f"{name}_downsample_0", strides, regularizer=regularizer)
        x = _batch_norm(x, f"{name}_downsample_1")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([y, x]))


def _batch_norm(x, name):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
