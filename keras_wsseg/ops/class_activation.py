"""Class activation maps: which parts of an image support a classifier's decision."""

from keras import ops

from keras_wsseg.arguments import check_number
from keras_wsseg.ops.resize import resize_bilinear


def class_activation_maps(score_maps, tags, size, background_exponent=4.0, mask=None):
    r"""Converts a classifier's scores at every position into maps of the classes of an image's tags.

    They localize classes with a network trained on image-level tags only. With `s` the scores of a foreground
    class `c`, resized to the size of the image,

    `A^c = mean over scales of resize(relu(s^c))`,
    `P^c = A^c / max over the image of A^c` for the tagged classes, 0 for all others,
    `P^0 = (1 - max_c P^c)^background_exponent` for the background.

    A class without any positive score is 0 everywhere. The maps do not sum to 1 over the classes.

    Args:
        score_maps: list with one entry per scale: `(batch, any_height, any_width, classes - 1)`, scores of
            the foreground classes at every position.
        tags: `(batch, classes)` of 0 and 1: the classes that each image contains. Column 0, the background,
            is ignored.
        size: `(height, width)` of the image in pixels, each an integer or an integer scalar tensor.
        background_exponent: how quickly the background decreases where a class is active, greater than 0.
        mask: `(batch, height, width)` of 0 and 1, or None: only pixels of 1 are part of the image. The
            others are excluded from the maximum and become background.

    Returns:
        `(batch, height, width, classes)`, float32, within [0, 1].

    Raises:
        ValueError: if the shapes do not match, or `background_exponent` is out of range.

    Example:

    >>> import numpy as np
    >>> scores = np.array([-1.0, 1.0, 2.0], "float32").reshape(1, 1, 3, 1)
    >>> maps = class_activation_maps([scores], np.ones((1, 2)), (1, 3), background_exponent=1)
    >>> np.array(maps)[0, 0].round(3).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]

    Source: Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", arXiv:1512.04150; the
    normalization, the scales and the background as in Zhang et al. 2020, "Reliability Does Matter",
    arXiv:1911.08039. Departure: negative scores are set to 0 before the maps are resized and summed, which
    the paper does not specify.
    """
    check_background_exponent(background_exponent)
    _check_shapes(score_maps, tags, mask)
    total = 0.0
    for scores in score_maps:
        total = total + resize_bilinear(ops.relu(ops.cast(scores, "float32")), size)
    if mask is not None:
        total = total * ops.cast(mask, "float32")[..., None]
    # A sum suffices: the mean over the scales would divide map and maximum alike.
    peaks = ops.max(total, axis=(1, 2), keepdims=True)
    foreground = ops.minimum(ops.divide_no_nan(total, peaks), 1.0)
    foreground = foreground * ops.cast(tags, "float32")[:, None, None, 1:]
    background = ops.power(1.0 - ops.max(foreground, axis=-1, keepdims=True), background_exponent)
    return ops.concatenate([background, foreground], axis=-1)


def check_background_exponent(background_exponent):
    """Validates the exponent of the background."""
    check_number("background_exponent", background_exponent, above=0)


def _check_shapes(score_maps, tags, mask):
    if not isinstance(score_maps, list | tuple) or not score_maps:
        raise ValueError(
            "score_maps must be a non-empty list of tensors. "
            f"Received: {'an empty list' if isinstance(score_maps, list | tuple) else type(score_maps)}"
        )
    if len(tags.shape) != 2:
        raise ValueError(f"tags must be (batch, classes). Received: shape {tuple(tags.shape)}")
    for scores in score_maps:
        if len(scores.shape) != 4 or scores.shape[-1] + 1 != tags.shape[-1]:
            raise ValueError(
                "score_maps must be (batch, height, width, classes - 1), one channel for each class of the "
                f"tags except the background. Received: score_maps of shape {tuple(scores.shape)}, tags of "
                f"shape {tuple(tags.shape)}"
            )
    if mask is not None and len(mask.shape) != 3:
        raise ValueError(f"mask must be (batch, height, width). Received: shape {tuple(mask.shape)}")
