"""Pixel labels from image-level tags, as a layer."""

import keras
from keras import ops

from keras_wsseg.ops.adaptive_prior import adaptive_prior, check_prior, estimated_labels, logits_among_tags


@keras.saving.register_keras_serializable("keras_wsseg")
class PixelLabelEstimator(keras.layers.Layer):
    r"""Estimates soft labels of all pixels from a prediction and the tags of the image.

    It reweights a prediction so that every tagged class gets its share of the image and all other classes
    get none:

    `q_j(l) = p_j(l) beta_l / sum_l' p_j(l') beta_l'`

    with the `beta` of `ops.adaptive_prior` for each image. No gradient flows through the layer: its output
    is a training target, as in `losses.AdaptivePriorLoss`. Computation is in float32 whatever the policy.

    Args:
        min_fractions: the minimum shares of the background and of each object, from 0 to 1.
        grid: number of points between 0 and 1 that are compared if an image has one object;
            `1 / (grid + 1)` is the smallest `beta` of a class that is present.
        from_logits: whether the first input holds logits; probabilities otherwise.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[logits, tags]` or `[logits, tags, inside]`: `(batch, height, width, classes)`,
            `(batch, classes)` of 0 and 1, where class 0 always counts as 1, and `(batch, height, width)`, 1
            for the pixels inside the image, else 0; only those count towards the shares.

    Returns:
        `(batch, height, width, classes)`, which sum to 1 at each pixel.

    Raises:
        ValueError: if an argument is out of range, or the inputs do not have these shapes.

    Example:

    >>> import numpy as np
    >>> logits = np.tile(np.array([4.0, 1.0, 0.0], "float32"), (1, 2, 2, 1))  # background everywhere
    >>> q = PixelLabelEstimator()([logits, np.array([[1, 0, 1]])])
    >>> [round(float(x), 2) for x in q[0, 0, 0]]  # class 1 is absent, class 2 gets its share
    [0.78, 0.0, 0.22]

    Source: Pandey & Dukkipati 2017, arXiv:1705.01262.
    """

    def __init__(self, min_fractions=(0.4, 0.2), grid=99, from_logits=True, **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        check_prior(min_fractions, grid)
        self.min_fractions, self.grid, self.from_logits = tuple(min_fractions), grid, bool(from_logits)

    def build(self, input_shape):
        ranks = [len(shape) for shape in input_shape if isinstance(shape, (tuple, list))]
        if ranks not in ([4, 2], [4, 2, 3]):
            raise ValueError(
                "inputs must be [logits, tags] or [logits, tags, inside] of shapes (batch, height, width, "
                "classes), (batch, classes) and (batch, height, width). "
                f"Received: shape={input_shape}"
            )
        if len(ranks) == 3:
            sizes = zip(input_shape[2][1:], input_shape[0][1:3], strict=True)
            if any(a is not None and b is not None and a != b for a, b in sizes):
                raise ValueError(
                    f"inside must have the size of the logits, {tuple(input_shape[0][1:3])}. "
                    f"Received: shape {tuple(input_shape[2])}"
                )

    def call(self, inputs):
        logits, tags = inputs[:2]
        height, width, classes = ops.shape(logits)[1:]
        flat = ops.reshape(ops.stop_gradient(logits), (-1, height * width, classes))
        p = logits_among_tags(flat, tags) if self.from_logits else flat
        mask = None
        if len(inputs) == 3:
            mask = ops.reshape(ops.cast(inputs[2], "float32"), (-1, height * width))
        q = estimated_labels(p, tags, adaptive_prior(p, tags, self.min_fractions, mask, self.grid))
        return ops.cast(ops.reshape(q, (-1, height, width, classes)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        config = {"min_fractions": self.min_fractions, "grid": self.grid, "from_logits": self.from_logits}
        return {**super().get_config(), **config}
