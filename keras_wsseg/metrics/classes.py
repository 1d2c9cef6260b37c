"""Validation of arguments that specify classes."""

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.labels import MOST_CLASSES


def class_count(num_classes):
    """`num_classes` as an `int`, from 2 to 254: ids 254 and above are reserved."""
    return check_integer("num_classes", num_classes, low=2, high=MOST_CLASSES)


def ignored_classes(ignore_class, num_classes):
    """`ignore_class`, None, a class id or several, as a tuple."""
    if ignore_class is None:
        return ()
    try:
        ids = tuple(ignore_class)
    except TypeError:
        ids = (ignore_class,)
    return class_ids("ignore_class", ids, num_classes)


def class_ids(argument, ids, num_classes):
    """`ids` as a sorted tuple of distinct class ids; the error names `argument`."""
    try:
        return tuple(sorted({check_integer(argument, i, low=0, high=num_classes - 1) for i in ids}))
    except (TypeError, ValueError):
        raise ValueError(
            f"`{argument}` must hold class ids from 0 to {num_classes - 1}. Received: {argument}={ids!r}"
        ) from None
