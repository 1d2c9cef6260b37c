"""Labels from confident pixels of class maps."""

import fractions

from keras import ops

from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.labels import PADDING, UNLABELED

DIGIT = 256
"""Base of the digits by which the bit patterns of numbers are ranked."""


def confident_labels(maps, keep_fraction=0.4, mask=None, tags=None):
    r"""Labels the most confident pixels of each class with their class of largest value.

    A network can be trained on its own class activation maps if only their confident pixels are used. Per
    image and class `c`, with `P_i` the largest value of pixel `i` and `n_c` the number of pixels where it is
    that of `c`,

    `label_i = c if P_i >= alpha_c else 255`,

    with `alpha_c` the `ceil(keep_fraction n_c)`-th largest of these `P_i`.

    So at least that fraction is kept. Pixels equal to the threshold are kept: otherwise a background whose
    values are all 1 would lose every pixel.

    Args:
        maps: `(batch, height, width, classes)`, not negative, any float type.
        keep_fraction: minimum fraction kept of the pixels that `argmax` assigns to a class, within (0, 1].
        mask: `(batch, height, width)` of 0 and 1, or None: only pixels of 1 are part of the image.
        tags: `(batch, classes)` of 0 and 1: the classes that each image contains; others are not assigned.
            The background, column 0, is always included. None: all classes.

    Returns:
        `(batch, height, width)`, int32: 0 to classes - 1 for a class, 255 for unlabeled pixels, including
        those with non-finite values, 254 outside the mask. Ties between classes go to the first.

    Raises:
        ValueError: if the shapes do not match, or `keep_fraction` is out of range.

    Example:

    >>> import numpy as np
    >>> maps = np.array([[0.9, 0.2], [0.8, 0.3], [0.7, 0.6], [0.1, 0.5]], "float32").reshape(1, 1, 4, 2)
    >>> np.array(confident_labels(maps, keep_fraction=0.6)).tolist()
    [[[0, 0, 255, 1]]]

    Source: Zhang et al. 2020, "Reliability Does Matter", arXiv:1911.08039, where only values strictly above
    the threshold are kept.
    """
    check_keep_fraction(keep_fraction)
    check_maps(maps, tags, mask)
    maps = ops.cast(ops.stop_gradient(maps), "float32")
    known = ops.all(ops.isfinite(maps), axis=-1)
    if tags is not None:
        maps = ops.where(present_classes(tags)[:, None, None], maps, -1.0)
    batch, height, width = ops.shape(maps)[:3]
    classes = maps.shape[-1]
    labels = ops.reshape(ops.cast(ops.argmax(maps, axis=-1), "int32"), (batch, height * width))
    # The bit patterns of positive floats, read as integers, sort like the floats.
    bits = ops.view(ops.max(maps, axis=-1, keepdims=True), "int32")
    keys = ops.reshape(ops.maximum(bits, 0), (batch, height * width))
    known = ops.reshape(known, (batch, height * width))
    inside = ops.ones_like(labels)
    if mask is not None:
        inside = ops.reshape(ops.cast(ops.cast(mask, "float32") > 0.5, "int32"), (batch, height * width))
    thresholds = _thresholds(keys, labels, inside, classes, keep_fraction)
    kept = ops.logical_and(known, keys >= ops.take_along_axis(thresholds, labels, axis=1))
    labels = ops.where(inside > 0, ops.where(kept, labels, UNLABELED), PADDING)
    return ops.reshape(labels, (batch, height, width))


def agreeing_labels(labels, others):
    """Keeps the labels that agree with those of another source.

    Args:
        labels: integers of any shape: a class, 255 unlabeled, 254 outside the image.
        others: integers of the same shape.

    Returns:
        int32 of the same shape: the label where both are equal, 254 where `labels` is 254, 255 elsewhere.

    Example:

    >>> import numpy as np
    >>> np.array(agreeing_labels([0, 1, 255, 254], [0, 2, 2, 2])).tolist()
    [0, 255, 255, 254]
    """
    labels, others = (ops.cast(ops.convert_to_tensor(x), "int32") for x in (labels, others))
    stays = ops.logical_or(labels == others, labels == PADDING)
    return ops.where(stays, labels, UNLABELED)


def present_classes(tags):
    """`(batch, classes)`, bool: the tags, with the background in every image."""
    tags = ops.cast(tags, "float32") > 0.5
    return ops.concatenate([ops.ones_like(tags[:, :1]), tags[:, 1:]], axis=1)


def check_keep_fraction(keep_fraction):
    """Validates the fraction of pixels to keep."""
    check_number("keep_fraction", keep_fraction, above=0, high=1)


def check_maps(maps, tags=None, mask=None):
    """Validates that the static shapes match."""
    shape = tuple(maps.shape)
    if len(shape) != 4:
        raise ValueError(f"maps must be (batch, height, width, classes). Received: shape {shape}")
    for name, other, wanted in (("tags", tags, (shape[0], shape[3])), ("mask", mask, shape[:3])):
        if other is None:
            continue
        given = tuple(other.shape)
        differs = any(None not in (a, b) and a != b for a, b in zip(given, wanted, strict=False))
        if len(given) != len(wanted) or differs:
            raise ValueError(f"{name} must have the shape {wanted} for these maps. Received: shape {given}")


def _thresholds(keys, labels, inside, classes, keep_fraction):
    """The key of the last pixel kept for each class, `(batch, classes)`, found digit by digit.

    Counting the digits of all pixels takes a sixth of the time of sorting them, half of it without XLA.

    Args:
        keys: `(batch, pixels)`, int32, not negative.
        labels: `(batch, pixels)`, int32, the class of each pixel.
        inside: `(batch, pixels)`, int32, 1 for the pixels that count.
        classes: number of classes.
        keep_fraction: fraction of the pixels of a class to keep.
    """
    batch = ops.shape(keys)[0]
    cells = (ops.arange(batch, dtype="int32")[:, None] * classes + labels) * DIGIT
    places = ops.arange(DIGIT, dtype="int32")
    found = wanted = None
    for unit in (DIGIT**3, DIGIT**2, DIGIT, 1):
        leading = keys // unit
        counted = inside
        if found is not None:
            so_far = ops.take_along_axis(found, labels, axis=1)
            counted = inside * ops.cast(leading // DIGIT == so_far, "int32")
        # Counted from the largest digit downwards.
        place = cells + (DIGIT - 1 - leading % DIGIT)
        counts = ops.segment_sum(
            ops.reshape(counted, (-1,)), ops.reshape(place, (-1,)), num_segments=batch * classes * DIGIT
        )
        counts = ops.reshape(counts, (batch, classes, DIGIT))
        reached = ops.cumsum(counts, axis=-1)
        if wanted is None:
            wanted, found = _kept_of(reached[..., -1], keep_fraction), ops.zeros_like(reached[..., -1])
        before = ops.sum(ops.cast(reached < wanted[..., None], "int32"), axis=-1)
        wanted = wanted - ops.sum(ops.where(places < before[..., None], counts, 0), axis=-1)
        found = found * DIGIT + (DIGIT - 1 - before)
    return found


def _kept_of(counts, keep_fraction):
    """`ceil(keep_fraction counts)` and at least 1."""
    # In integers: 0.28 of 25 is 7, not the ceiling of 7.000000000000001.
    fraction = fractions.Fraction(float(keep_fraction)).limit_denominator(40_000)
    whole, rest = counts // fraction.denominator, counts % fraction.denominator
    part = (rest * fraction.numerator + fraction.denominator - 1) // fraction.denominator
    return ops.maximum(whole * fraction.numerator + part, 1)
