"""Class activation maps as a layer."""

import fractions

import keras
from keras import ops

from keras_wsseg.arguments import check_number
from keras_wsseg.ops.class_activation import check_background_exponent, class_activation_maps
from keras_wsseg.ops.resize import resize_bilinear


@keras.saving.register_keras_serializable("keras_wsseg")
class ClassActivationMap(keras.layers.Layer):
    r"""Class activation maps: where in an image a classifier finds the classes of the image's tags.

    They provide supervision for a segmenter when only tags are available: `ReliableRegions` derives labels
    from them. The classifier is applied to the image at several scales and the maps are averaged; with `s^c`
    its score of class `c` at each position,

    `A^c = mean over scales of resize(relu(s^c))`,
    `P^c = A^c / max over the image of A^c` for the tagged classes, 0 for all others,
    `P^0 = (1 - max_c P^c)^background_exponent` for the background.

    The classifier runs in inference mode (`training=False`), and no gradient flows through the maps, which
    serve as targets only.

    Args:
        scores: a `keras.Model` from images of any size `(batch, height, width, channels)` to
            `(batch, h, w, classes - 1)`, the scores of the foreground classes at every position. For a
            classifier that ends in global average pooling and a dense layer, this is the dense layer's kernel
            applied as a 1x1 convolution to the features; the logit is the mean over positions. It should have
            no bias, since a class with a large one would be active everywhere: build the classifier with
            `use_bias=False`, or omit its bias in `scores`. Its weights are shared, not copied.
        scales: scales at which it is applied, relative to the image's size; each at least 0.001. Sizes are
            rounded, to at least one pixel.
        background_exponent: how quickly the background decreases where a class is active, greater than 0.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[image, tags]` or `[image, tags, inside]`: images in the format of `scores`;
            `(batch, classes)` of 0 and 1, the classes that each image contains, column 0 being the
            background; and `(batch, height, width)`, 1 for pixels of the image and 0 for those outside it,
            such as padding, which are excluded from the maximum and become background.

    Returns:
        `(batch, height, width, classes)`, float32 whatever the policy, within [0, 1].

    Raises:
        TypeError: if `scores` is not a model.
        ValueError: if `scales` or `background_exponent` is out of range, or the shapes do not match.

    Example:

    >>> import numpy as np
    >>> inputs = keras.Input((None, None, 1))
    >>> double = keras.layers.Conv2D(1, 1, kernel_initializer=keras.initializers.Constant(2), use_bias=False)
    >>> layer = ClassActivationMap(keras.Model(inputs, double(inputs)), scales=[1])
    >>> image = np.array([0, 1, 2], "float32").reshape(1, 1, 3, 1)
    >>> np.array(layer([image, np.ones((1, 2))]))[0, 0].round(4).tolist()
    [[1.0, 0.0], [0.0625, 0.5], [0.0, 1.0]]

    Source: Zhang et al. 2020, "Reliability Does Matter: An End-to-End Weakly Supervised Semantic Segmentation
    Approach", arXiv:1911.08039; the maps are those of Zhou et al. 2016, arXiv:1512.04150.
    """

    def __init__(self, scores, scales=(0.5, 1.0, 1.5, 2.0), background_exponent=4.0, **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if not isinstance(scores, keras.Model):
            raise TypeError(
                "scores must be a keras.Model from images to scores of the foreground classes. "
                f"Received: scores={scores!r}"
            )
        self.scales = _checked(scales)
        check_background_exponent(background_exponent)
        _check_any_size(scores, self.scales)
        self.scores = scores
        self.background_exponent = float(background_exponent)

    def build(self, input_shape):
        check_inputs(input_shape, ("image", "tags"), "inside")

    def call(self, inputs):
        image, tags, *inside = inputs
        image = ops.cast(image, "float32")
        size = ops.shape(image)[1:3]
        score_maps = [
            self.scores(resize_bilinear(image, [_scaled(pixels, scale) for pixels in size]), training=False)
            for scale in self.scales
        ]
        maps = class_activation_maps(
            score_maps, tags, size, self.background_exponent, inside[0] if inside else None
        )
        return ops.stop_gradient(maps)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:3], input_shape[1][-1])

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape([x.shape for x in inputs])
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        config = {
            "scores": keras.saving.serialize_keras_object(self.scores),
            "scales": self.scales,
            "background_exponent": self.background_exponent,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "scores": keras.saving.deserialize_keras_object(config["scores"])})


def check_inputs(shapes, names, optional):
    """Validates that inputs are a list of the named tensors, with or without the optional one."""
    pair = isinstance(shapes, list | tuple) and not any(s is None or isinstance(s, int) for s in shapes)
    if not pair or len(shapes) not in (len(names), len(names) + 1):
        names = ", ".join(names)
        raise ValueError(
            f"inputs must be a list [{names}] or [{names}, {optional}]. Received: shape={shapes}"
        )


def _scaled(pixels, scale):
    """`scale * pixels`, rounded, in integer arithmetic: the same result for static and dynamic sizes."""
    ratio = fractions.Fraction(scale).limit_denominator(1000)
    scaled = (2 * pixels * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)
    return max(scaled, 1) if isinstance(scaled, int) else ops.maximum(scaled, 1)


def _checked(scales):
    scales = tuple(scales) if isinstance(scales, list | tuple) else (scales,)
    if not scales:
        raise ValueError("`scales` must contain at least one number. Received: scales=()")
    return tuple(float(check_number("scales", scale, low=0.001)) for scale in scales)


def _check_any_size(scores, scales):
    inputs = getattr(scores, "inputs", None) or []
    for tensor in inputs:
        if scales != (1,) and any(size is not None for size in tensor.shape[1:3]):
            raise ValueError(
                "scores must accept images of any size, (None, None, None, channels), if scales contains "
                f"values other than 1. Received: scores for the shape {tuple(tensor.shape)}"
            )
