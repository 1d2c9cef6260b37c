"""Bilinear resizing to the size of another tensor."""

import keras
from keras import ops

from keras_wsseg.ops.resize import resize_bilinear


@keras.saving.register_keras_serializable("keras_wsseg")
class ResizeLike(keras.layers.Layer):
    """Resizes feature maps or logits bilinearly to the height and width of a reference.

    It lets a segmenter whose strided layers round sizes up process images of any size. Unlike the resizing
    layers of Keras it accepts a dynamic size on every backend, and exports to ONNX.
    See `keras_wsseg.ops.resize_bilinear` for the formula.

    Args:
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        reference: a tensor `(batch, new_height, new_width, any)`; only its size is used.

    Returns:
        `(batch, new_height, new_width, channels)`.

    Example:

    >>> import numpy as np
    >>> ResizeLike()(np.ones((1, 3, 4, 2), "float32"), np.ones((1, 5, 7, 9), "float32")).shape.as_list()
    [1, 5, 7, 2]
    """

    def call(self, inputs, reference):
        shape = ops.shape(reference)
        return resize_bilinear(inputs, (shape[1], shape[2]))

    def compute_output_shape(self, inputs_shape, reference_shape):
        return (inputs_shape[0], *reference_shape[1:3], inputs_shape[3])
