"""Priors on the size and position of an unlabeled object."""

from keras import ops


def object_fraction(x, mask=None):
    """The mean of the object's probability over each image.

    Args:
        x: `(batch, height, width)`, the object's probability.
        mask: `(batch, height, width)` of 0 and 1, or None: only pixels of 1 count.

    Returns:
        `(batch,)`, float32; 0 if no pixel counts.

    Example:

    >>> import numpy as np
    >>> round(float(object_fraction(np.array([[[0.0, 1.0], [1.0, 1.0]]]))[0]), 4)
    0.75
    """
    x = ops.cast(x, "float32")
    return _mean(x, ops.ones_like(x) if mask is None else ops.cast(mask, "float32"))


def volumetric_energy(fraction, target_fraction=0.5):
    """Squared difference between the object's mean fraction over a batch and `target_fraction`.

    Args:
        fraction: scalar, the mean of `object_fraction` over the batch.
        target_fraction: the expected fraction.

    Returns:
        Scalar, float32.

    Source: Veksler 2020, the volumetric term over a batch.
    """
    return ops.square(ops.cast(fraction, "float32") - target_fraction)


def smallness_energy(fraction, min_fraction=0.15):
    """Penalty of images with hardly any object: `[x_i < min_fraction] (x_i - min_fraction)^2`.

    Args:
        fraction: `(batch,)`, from `object_fraction`.
        min_fraction: the fraction below which an image is penalized.

    Returns:
        `(batch,)`, float32.

    Example:

    >>> [round(float(e), 4) for e in smallness_energy([0.05, 0.3])]
    [0.01, 0.0]

    Source: Veksler 2020, the volumetric term of an image.
    """
    return ops.square(ops.relu(min_fraction - ops.cast(fraction, "float32")))


def positional_energy(x, border=3, center=3, mask=None):
    """Penalizes an object that does not fill the middle of an image or extends to its border.

    `E = (mean of x over the frame of width border)^2 + (mean of x over the middle center x center - 1)^2`.

    Args:
        x: `(batch, height, width)`, the object's probability.
        border: width of the frame in pixels, at least 1.
        center: side of the square in the middle in pixels, at least 1; if height and `center` are not both
            even or both odd, it lies half a pixel above the middle, and likewise to the left for the width.
        mask: `(batch, height, width)` of 0 and 1, or None: only pixels of 1 count.

    Returns:
        `(batch,)`, float32, within [0, 2]. A frame or middle in which no pixel counts contributes 0.

    Example:

    >>> import numpy as np
    >>> x = np.zeros((2, 9, 9))
    >>> x[1, 3:6, 3:6] = 1
    >>> [round(float(e), 4) for e in positional_energy(x)]
    [1.0, 0.0]

    Source: Veksler 2020, the positional term.
    """
    x = ops.cast(x, "float32")
    mask = ops.ones_like(x) if mask is None else ops.cast(mask, "float32")
    rows, columns = (ops.shape(x)[axis] for axis in (1, 2))
    inner = _span(rows, border, rows - border)[:, None] * _span(columns, border, columns - border)[None]
    above, left = (ops.maximum(size - center, 0) // 2 for size in (rows, columns))
    middle = _span(rows, above, above + center)[:, None] * _span(columns, left, left + center)[None]
    frame, middle = mask * (1.0 - inner), mask * middle
    has_middle = ops.cast(ops.any(middle > 0, axis=(1, 2)), "float32")
    return ops.square(_mean(x, frame)) + has_middle * ops.square(_mean(x, middle) - 1.0)


def _span(size, first, end):
    """1 for the positions from `first` to before `end`, else 0."""
    position = ops.arange(size, dtype="int32")
    return ops.cast(ops.logical_and(position >= first, position < end), "float32")


def _mean(x, mask):
    return ops.divide_no_nan(ops.sum(x * mask, axis=(1, 2)), ops.sum(mask, axis=(1, 2)))
