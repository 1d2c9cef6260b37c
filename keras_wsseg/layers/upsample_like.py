"""Upsampling that undoes a pooling of any size."""

import keras
from keras import ops

from keras_wsseg.arguments import check_integer


@keras.saving.register_keras_serializable("keras_wsseg")
class UpsampleLike(keras.layers.Layer):
    """Nearest-neighbor upsampling: repeats every pixel and crops the result to the size of a reference.

    It is the exact counterpart of pooling with `padding="same"`: each output pixel takes the value of the
    cell it was pooled into, even at odd sizes, where resizing to the reference would shift everything by a
    fraction of a pixel. It is much cheaper than a bilinear resize.

    Args:
        factor: number of times each pixel is repeated along both axes, at least 1.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        reference: a tensor `(batch, new_height, new_width, any)`; only its size is used, which must be at
            most `factor` times that of the inputs.

    Returns:
        `(batch, new_height, new_width, channels)`.

    Raises:
        ValueError: if `factor` is below 1, or the reference is larger than `factor` times the inputs.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> row = np.array([1.0, 2.0], "float32").reshape(1, 1, 2, 1)
    >>> [int(x) for x in ops.ravel(UpsampleLike()(row, np.zeros((1, 1, 3, 1), "float32")))]
    [1, 1, 2]
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = check_integer("factor", factor, low=1)

    def call(self, inputs, reference):
        shape = ops.shape(reference)
        repeated = ops.repeat(ops.repeat(inputs, self.factor, axis=1), self.factor, axis=2)
        return repeated[:, : shape[1], : shape[2]]

    def compute_output_shape(self, inputs_shape, reference_shape):
        for have, want in zip(inputs_shape[1:3], reference_shape[1:3], strict=True):
            if have is not None and want is not None and want > have * self.factor:
                raise ValueError(
                    f"`reference` must not be larger than {self.factor} times the inputs. Received: "
                    f"inputs of shape={tuple(inputs_shape)}, reference of shape={tuple(reference_shape)}"
                )
        return (inputs_shape[0], *reference_shape[1:3], inputs_shape[3])

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
