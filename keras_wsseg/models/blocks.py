"""Shared parts of the segmenters: convolution blocks, coupled weight decay, argument validation."""

import keras

from keras_wsseg.arguments import check_integer, check_number

STRIDES = (2, 4, 8, 16, 32)
"""Image pixels per feature of an encoder along each axis, from shallow to deep."""


def coupled_l2(weight_decay):
    """A penalty whose gradient is `weight_decay * w`, or None if there is no decay.

    Published recipes in other frameworks add this term to the gradient before the momentum, whereas
    `weight_decay` of a Keras optimizer shrinks the weights separately, which is weaker by a factor of about
    `1 / (1 - momentum)`.
    """
    check_number("weight_decay", weight_decay, low=0)
    return keras.regularizers.L2(weight_decay / 2) if weight_decay else None


def conv(x, filters, kernel_size, name, initializer="he_normal", regularizer=None, **kwargs):
    """Convolution of stride 1 that preserves the size."""
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        kernel_initializer=initializer,
        kernel_regularizer=regularizer,
        name=name,
        **kwargs,
    )(x)


def both_sides_conv(x, filters, kernel_size, name, strides=1, dilation=1, regularizer=None):
    """Convolution without bias as in published ResNets: when strided, pads both sides of even sizes."""
    padding = "same"
    if strides > 1 and kernel_size > 1:
        # "same" would pad one side only.
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    return keras.layers.Conv2D(
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


def conv_bn_relu(x, filters, kernel_size, name, **kwargs):
    """`conv` without bias, batch normalization, ReLU."""
    x = conv(x, filters, kernel_size, f"{name}_conv", use_bias=False, **kwargs)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def check_at_least(minimum, **arguments):
    """Raises a `ValueError` unless every argument is an integer not below `minimum`."""
    for name, value in arguments.items():
        check_integer(name, value, low=minimum)


def check_one_of(allowed, **arguments):
    """Raises a `ValueError` unless every argument is among `allowed`."""
    for name, value in arguments.items():
        if value not in allowed:
            listed = ", ".join(map(str, allowed))
            raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value}")


def check_dropout(dropout):
    """Raises a `ValueError` unless `dropout` is a rate in [0, 1)."""
    check_number("dropout", dropout, low=0, below=1)
