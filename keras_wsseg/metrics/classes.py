"""Checks of arguments that name classes."""

import operator

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.labels import MOST_CLASSES


def class_count(num_classes):
    """`num_classes` as an `int`, from 2 to 254: the ids above are reserved."""
    return check_integer("num_classes", num_classes, low=2, high=MOST_CLASSES)


def class_ids(argument, ids, num_classes):
    """`ids` as a sorted tuple of distinct class ids; the error names `argument`."""
    try:
        result = tuple(sorted({operator.index(i) for i in ids}))
    except TypeError:
        raise TypeError(f"`{argument}` must be a list of class ids. Received: {argument}={ids!r}") from None
    if any(not 0 <= i < num_classes for i in result):
        raise ValueError(
            f"`{argument}` must hold class ids from 0 to {num_classes - 1}. Received: {argument}={ids!r}"
        )
    return result
