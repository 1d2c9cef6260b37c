"""Arguments that several functions take, checked one way."""

import numpy as np

from keras_wsseg.annotations.labels import OUTSIDE


def positive_integer(name, value):
    """The value as an int, or an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    return int(value)


def check_unlabelled_batch(unlabelled_batch, batch_size):
    """Raises `ValueError` where a batch has no room for the pictures without annotation and one with."""
    whole = isinstance(unlabelled_batch, (int, np.integer)) and not isinstance(unlabelled_batch, bool)
    if not whole or not 0 <= unlabelled_batch < batch_size:
        raise ValueError(
            f"`unlabelled_batch` must be an integer from 0 to {batch_size - 1}, below `batch_size`. "
            f"Received: unlabelled_batch={unlabelled_batch!r}"
        )


def crop_pair(crop_size):
    """`crop_size`, a number or a pair, as `(height, width)`."""
    try:
        pair = tuple(crop_size)
    except TypeError:
        pair = (crop_size, crop_size)
    try:
        height, width = (positive_integer("crop_size", side) for side in pair)
    except ValueError as error:
        raise ValueError(
            "`crop_size` must be a positive integer or a pair (height, width) of them. "
            f"Received: crop_size={crop_size!r}"
        ) from error
    return height, width


def check_value_range(value_range):
    """`value_range` as a pair of numbers, low before high.

    Args:
        value_range: a pair of numbers.

    Returns:
        the pair.

    Raises:
        ValueError: it is none.

    Example:

    >>> check_value_range([0, 1])
    (0, 1)
    """
    try:
        low, high = value_range
        valid = low < high and np.isfinite(low) and np.isfinite(high)
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"`value_range` must be a pair (low, high) with low < high. Received: value_range={value_range!r}"
        )
    return low, high


def resolve_classes(num_classes, class_names, largest):
    """Number and names of the classes from what is known of them.

    Args:
        num_classes: a number or None.
        class_names: a sequence of names or None.
        largest: the largest class id in the labels.

    Returns:
        `(num_classes, class_names)`.

    Raises:
        ValueError: the two disagree, or the number is not from 1 to 254.

    Example:

    >>> resolve_classes(None, None, 1)
    (2, ('0', '1'))
    """
    if num_classes is None:
        num_classes = largest + 1 if class_names is None else len(class_names)
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
        raise ValueError(f"`num_classes` must be an integer. Received: num_classes={num_classes!r}")
    if not 1 <= num_classes <= OUTSIDE:
        raise ValueError(f"`num_classes` must be from 1 to {OUTSIDE}. Received: num_classes={num_classes}")
    if class_names is None:
        class_names = range(num_classes)
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must name all {num_classes} classes. Received: {len(class_names)} names"
        )
    return int(num_classes), tuple(str(name) for name in class_names)
