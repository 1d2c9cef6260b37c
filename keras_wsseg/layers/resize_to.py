"""Resizing of images to the fixed input size of a network."""

import keras

from keras_wsseg.arguments import check_integer
from keras_wsseg.ops.resize import resize_antialiased


@keras.saving.register_keras_serializable("keras_wsseg")
class ResizeTo(keras.layers.Layer):
    """Resizes images of any size to a fixed one, with antialiasing when downsampling.

    It lets a network trained on whole images of one size accept other sizes, and makes the size part of the
    model file. Unlike the resizing layers of Keras it exports to ONNX at dynamic sizes and gives the same
    numbers on every backend. See `keras_wsseg.ops.resize.resize_antialiased` for the formula.

    Args:
        height: height of the result in pixels, at least 1.
        width: width of the result in pixels, at least 1.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, any_height, any_width, channels)`; integers become float32.

    Returns:
        `(batch, height, width, channels)`.

    Raises:
        ValueError: if `height` or `width` is below 1.

    Example:

    >>> import numpy as np
    >>> ResizeTo(4, 6)(np.ones((2, 33, 5, 3), "float32")).shape.as_list()
    [2, 4, 6, 3]
    """

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height = check_integer("height", height, low=1)
        self.width = check_integer("width", width, low=1)

    def call(self, inputs):
        return resize_antialiased(inputs, (self.height, self.width))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}
