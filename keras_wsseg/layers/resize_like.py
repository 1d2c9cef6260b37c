"""Bilinear resizing to the size of another tensor."""

import keras
from keras import ops

from keras_wsseg.ops.resize import resize_bilinear


@keras.saving.register_keras_serializable("keras_wsseg")
class ResizeLike(keras.layers.Layer):
    """Resizes feature maps or logits bilinearly to the height and width of a reference.

    Images of any size then pass a segmenter whose layers shrink them by rounding up. Unlike Keras' own
    resizing it takes a size that is known only at run time on every backend, and exports to ONNX.
    See `keras_wsseg.ops.resize_bilinear` for the formula.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        reference: a tensor `(batch, new_height, new_width, any)` of which only the size counts.

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
