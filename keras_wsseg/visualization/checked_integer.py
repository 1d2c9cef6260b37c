"""The check of a count that pictures are drawn by."""

import operator


def checked_integer(name, value, least):
    """`value` as an integer of at least `least`, or an error that names the argument.

    Args:
        name: of the argument.
        value: what was given.
        least: smallest number that makes sense.

    Raises:
        TypeError: if `value` is no integer.
        ValueError: if it is below `least`.

    Example:

    >>> checked_integer("cell", 32, 32)
    32
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}") from None
    if number < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
    return number
