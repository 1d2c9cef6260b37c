"""ResNet-18 and ResNet-34 as encoders of a segmenter; Keras has neither."""

import keras
from keras import layers

from keras_wsseg.models.blocks import check_at_least, check_one_of, coupled_l2
from keras_wsseg.models.resnet_weights import load_resnet_weights

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def resnet_encoder(name, encoder_stride=16, input_channels=3, weights=None, weight_decay=0.0):
    """The convolutional part of a ResNet, from a standardised picture to its features at two strides.

    Layers, padding and names follow torchvision's (`layer1.0.conv1` is called `layer1_0_conv1`), so that
    weights trained there give the same features here. Below an `encoder_stride` of 32 the last stages keep
    the resolution: their stride becomes 1 and every convolution after it is dilated instead, which leaves the
    features at the pixels that a stride would have kept as they were.

    Args:
        name: `"resnet18"` or `"resnet34"`.
        encoder_stride: pixels of the picture to one of the last features along each axis, 8, 16 or 32.
        input_channels: channels of the picture.
        weights: None for random ones (He normal), or the path of a file: see `load_resnet_weights`.
        weight_decay: coupled L2 on the convolution kernels: each gradient gains `weight_decay * w`.

    Returns:
        A `keras.Model` from `(batch, height, width, input_channels)` to a list of the features of the first
        stage, `(batch, ceil(height / 4), ceil(width / 4), 64)`, and of the last, 512 channels at
        `encoder_stride`.

    Raises:
        ValueError: if an argument is out of range, or the file does not fit.
        FileNotFoundError: if there is no such file.

    Example:

    >>> import numpy as np
    >>> low, high = resnet_encoder("resnet18")(np.zeros((1, 33, 41, 3), "float32"))
    >>> low.shape.as_list(), high.shape.as_list()
    ([1, 9, 11, 64], [1, 3, 3, 512])

    Source: He, Zhang, Ren, Sun 2015, arXiv:1512.03385; dilation after Chen et al. 2017, arXiv:1706.05587.
    """
    check_one_of(BLOCKS, backbone=name)
    check_one_of((8, 16, 32), encoder_stride=encoder_stride)
    check_at_least(1, input_channels=input_channels)
    regularizer = coupled_l2(weight_decay)

    inputs = keras.Input((None, None, input_channels), dtype="float32", name="standardized")
    x = _conv(inputs, 64, 7, "conv1", strides=2, regularizer=regularizer)
    x = layers.ReLU(name="relu")(_batch_norm(x, "bn1"))
    # The features are not negative here, so that zeros around them never win the maximum.
    x = layers.ZeroPadding2D(1, name="maxpool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="maxpool")(x)
    taps, stride, dilation = [], 4, 1
    for stage, blocks in enumerate(BLOCKS[name]):
        filters = 64 * 2**stage
        for block in range(blocks):
            shrinks = stage > 0 and block == 0
            strides = 2 if shrinks and stride < encoder_stride else 1
            # The convolution that lost its stride still sees its input at the resolution it was made for.
            first_dilation = dilation
            if shrinks:
                stride, dilation = stride * strides, dilation * 2 // strides
            x = _basic_block(
                x,
                filters,
                f"layer{stage + 1}_{block}",
                strides=strides,
                dilations=(first_dilation, dilation),
                project=shrinks,
                regularizer=regularizer,
            )
        taps.append(x)
    encoder = keras.Model(inputs, [taps[0], taps[-1]], name=name)
    if weights is not None:
        load_resnet_weights(encoder, weights)
    return encoder


def _basic_block(x, filters, name, strides, dilations, project, regularizer):
    y = _conv(x, filters, 3, f"{name}_conv1", strides, dilations[0], regularizer)
    y = layers.ReLU(name=f"{name}_relu1")(_batch_norm(y, f"{name}_bn1"))
    y = _conv(y, filters, 3, f"{name}_conv2", dilation=dilations[1], regularizer=regularizer)
    y = _batch_norm(y, f"{name}_bn2")
    if project:
        x = _conv(x, filters, 1, f"{name}_downsample_0", strides, regularizer=regularizer)
        x = _batch_norm(x, f"{name}_downsample_1")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([y, x]))


def _conv(x, filters, kernel_size, name, strides=1, dilation=1, regularizer=None):
    padding = "same"
    if strides > 1 and kernel_size > 1:
        # "same" pads even sizes on one side only, where torchvision pads both.
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def _batch_norm(x, name):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
