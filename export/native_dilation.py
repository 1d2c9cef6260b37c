"""Traces dilated convolutions as one operation, not as TensorFlow's space-to-batch rearrangement."""

import contextlib

import keras
import tensorflow as tf

from keras_wsseg.export.source import all_layers


@contextlib.contextmanager
def native_dilation(model):
    """Lets a model's dilated convolutions trace as one operation each while it is active.

    At a size known only at run time `tf.nn.convolution` splits an image into as many interleaved ones as the
    dilation squared, convolves these and interleaves the results: in ONNX Runtime this takes three to five
    times as long as its own dilated convolution.

    Args:
        model: `keras.Model` on the TensorFlow backend.

    Yields:
        None.
    """
    dilated = [layer for layer in all_layers(model) if _is_plain_and_dilated(layer)]
    for layer in dilated:
        layer.convolution_op = _one_operation(layer)
    try:
        yield
    finally:
        for layer in dilated:
            del layer.convolution_op


def _is_plain_and_dilated(layer):
    # A subclass may override the convolution.
    return (
        type(layer) is keras.layers.Conv2D
        and max(layer.dilation_rate) > 1
        and layer.data_format == "channels_last"
        and layer.padding in ("same", "valid")
    )


def _one_operation(layer):
    # ONNX Runtime accepts "same" padding of dilated convolutions only as explicit numbers; their stride is 1.
    margins = [rate * (side - 1) for rate, side in zip(layer.dilation_rate, layer.kernel_size, strict=True)]
    same = [[0, 0], *([margin // 2, margin - margin // 2] for margin in margins), [0, 0]]
    padding = same if layer.padding == "same" else "VALID"

    def convolution_op(inputs, kernel):
        return tf.nn.conv2d(inputs, kernel, layer.strides, padding, dilations=layer.dilation_rate)

    return convolution_op
