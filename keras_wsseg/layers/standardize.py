"""Image normalization as part of the segmenter."""

import keras
import numpy as np
from keras import ops

from keras_wsseg.arguments import check_value_range

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean red, green and blue of ImageNet images in [0, 1]."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue of ImageNet images in [0, 1]."""


@keras.saving.register_keras_serializable("keras_wsseg")
class Standardize(keras.layers.Layer):
    """Standardizes images to zero mean and unit standard deviation, inside the model.

    A segmenter that includes its normalization needs no separate preprocessing when deployed, and 8-bit,
    16-bit and floating-point images differ in a single argument. With `value_range` = `(a, b)`:

    `y = ((x - a) / (b - a) - mean) / std`.

    Computation is in float32 whatever the policy, since 16-bit images overflow float16; the result has the
    policy's compute dtype.

    Args:
        value_range: the values of black and white in the input images, `(0, 255)` for 8 bits.
        mean: one number, or one per channel, in units of an image in [0, 1]. None is 0.5.
        std: one number, or one per channel, in units of an image in [0, 1]. None is 0.5, which together with
            the default mean gives the range [-1, 1].
        reverse_channels: whether to convert RGB to BGR after normalizing, as the weights of some
            `keras.applications` require.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: images `(batch, height, width, channels)`. One channel is repeated if `mean` or `std` have
            more, so that gray images can be used with weights trained on color.

    Raises:
        ValueError: if `value_range` is not increasing, a standard deviation is not positive, or the lengths
            of `mean` and `std` do not match each other or the channels.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> image = np.array([0, 255, 204], "float32").reshape(1, 1, 3, 1)
    >>> [round(float(x), 4) for x in ops.ravel(Standardize()(image))]
    [-1.0, 1.0, 0.6]
    >>> Standardize(mean=IMAGENET_MEAN, std=IMAGENET_STD)(image).shape[-1]
    3
    """

    def __init__(self, value_range=(0, 255), mean=None, std=None, reverse_channels=False, **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.value_range = check_value_range(value_range)
        self.mean = _numbers(0.5 if mean is None else mean)
        self.std = _numbers(0.5 if std is None else std)
        self.reverse_channels = bool(reverse_channels)
        if min(self.std) <= 0:
            raise ValueError(f"`std` must be positive. Received: std={std}")
        if len({len(self.mean), len(self.std)} - {1}) > 1:
            raise ValueError(
                f"`mean` and `std` must have the same number of values. Received: mean={mean}, std={std}"
            )

    def build(self, input_shape):
        wanted = max(len(self.mean), len(self.std))
        if 1 not in (wanted, input_shape[-1]) and wanted != input_shape[-1]:
            raise ValueError(
                f"`inputs` must have 1 channel or as many as `mean` and `std` have values, {wanted}. "
                f"Received: shape={tuple(input_shape)}"
            )

    def call(self, inputs):
        low, high = self.value_range
        std = np.asarray(self.std)
        # NumPy constants: tensors kept on the layer would become inputs of the exported graph.
        scale = (1.0 / ((high - low) * std)).astype("float32")
        offset = (-(low / (high - low) + np.asarray(self.mean)) / std).astype("float32")
        outputs = ops.cast(inputs, "float32") * scale + offset
        if self.reverse_channels:
            outputs = outputs[..., ::-1]
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], max(input_shape[-1], len(self.mean), len(self.std)))

    def get_config(self):
        config = {
            "value_range": self.value_range,
            "mean": self.mean,
            "std": self.std,
            "reverse_channels": self.reverse_channels,
        }
        return {**super().get_config(), **config}


def _numbers(value):
    return tuple(float(x) for x in np.ravel(value))
