"""Cropping of features that undoes the padding of the image."""

import keras
from keras import ops

from keras_wsseg.arguments import check_integer


@keras.saving.register_keras_serializable("keras_wsseg")
class CropToStride(keras.layers.Layer):
    """Crops the features of a padded image to those that cover the original image.

    The counterpart of `PadToMultiple`, placed after a network of a given stride.

    Args:
        stride: pixels of the image per feature along each axis, at least 1.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: features `(batch, feature_height, feature_width, channels)`.
        reference: the image before padding, `(batch, height, width, any)`; only its size is used.

    Returns:
        `(batch, ceil(height / stride), ceil(width / stride), channels)`.

    Raises:
        ValueError: if `stride` is below 1.

    Example:

    >>> import numpy as np
    >>> CropToStride(4)(np.ones((1, 16, 16, 3), "float32"), np.ones((1, 33, 41, 1))).shape.as_list()
    [1, 9, 11, 3]
    """

    def __init__(self, stride, **kwargs):
        super().__init__(**kwargs)
        self.stride = check_integer("stride", stride, low=1)

    def call(self, inputs, reference):
        _, height, width, _ = ops.shape(reference)
        return inputs[:, : self._rounded_up(height), : self._rounded_up(width)]

    def compute_output_shape(self, inputs_shape, reference_shape):
        sizes = (None if n is None else self._rounded_up(n) for n in reference_shape[1:3])
        return (inputs_shape[0], *sizes, inputs_shape[3])

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}

    def _rounded_up(self, size):
        return (size + self.stride - 1) // self.stride
