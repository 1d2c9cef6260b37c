"""Arguments that several functions take, checked one way."""

import numpy as np

from keras_wsseg.imaging.labels import OUTSIDE


def positive_integer(name, value):
    """The value as an int, or an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    return int(value)


def check_further_batches(batch_size, **counts):
    """What a batch has room for beside further pictures.

    Args:
        batch_size: pictures a batch.
        counts: how many of them are of each further kind, by the name of the argument that says so.

    Returns:
        how many are left, at least one.

    Raises:
        ValueError: a count is no integer, or leaves no picture.

    Example:

    >>> check_further_batches(8, unlabelled_batch=3, negative_batch=4)
    1
    """
    left, total = batch_size, "`batch_size`"
    for name, count in counts.items():
        whole = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
        if not whole or not 0 <= count < left:
            raise ValueError(
                f"`{name}` must be an integer from 0 to {left - 1}, below {total}. Received: {name}={count!r}"
            )
        if count:
            left, total = left - int(count), f"{total} less `{name}`"
    return left


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
