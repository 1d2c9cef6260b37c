"""Checks of arguments that name classes."""

import operator


def class_count(num_classes):
    """`num_classes` as an `int`, from 2 to 254: the ids above are reserved."""
    try:
        count = operator.index(num_classes)
    except TypeError:
        raise TypeError(f"`num_classes` must be an integer. Received: num_classes={num_classes!r}") from None
    if not 2 <= count <= 254:
        raise ValueError(f"`num_classes` must be 2 to 254. Received: num_classes={num_classes}")
    return count


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
