"""Padding that makes an image's size divisible."""

import keras
from keras import ops

from keras_wsseg.arguments import check_integer


@keras.saving.register_keras_serializable("keras_wsseg")
class PadToMultiple(keras.layers.Layer):
    """Pads with zeros at the bottom and right until height and width are multiples of a number.

    Networks whose layers round sizes down, or pad odd and even sizes differently, lose the border or shift by
    a pixel at sizes they were not designed for. Padding the input, and cropping the features with
    `CropToStride` afterwards, preserves pixel alignment.

    Args:
        multiple: the number of which both sizes become multiples, at least 1.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Returns:
        `(batch, multiple * ceil(height / multiple), multiple * ceil(width / multiple), channels)`.

    Raises:
        ValueError: if `multiple` is below 1.

    Example:

    >>> import numpy as np
    >>> PadToMultiple(32)(np.ones((1, 33, 1, 3), "float32")).shape.as_list()
    [1, 64, 32, 3]
    """

    def __init__(self, multiple, **kwargs):
        super().__init__(**kwargs)
        self.multiple = check_integer("multiple", multiple, low=1)

    def call(self, inputs):
        _, height, width, _ = ops.shape(inputs)
        missing = [(0, self._rounded_up(n) - n) for n in (height, width)]
        return ops.pad(inputs, [(0, 0), *missing, (0, 0)])

    def compute_output_shape(self, input_shape):
        sizes = (None if n is None else self._rounded_up(n) for n in input_shape[1:3])
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}

    def _rounded_up(self, size):
        # Avoids the modulo of a negative number, whose sign differs in ONNX.
        return (size + self.multiple - 1) // self.multiple * self.multiple
