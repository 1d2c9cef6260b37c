"""Shared validation of arguments."""

import math
import numbers
import operator


def check_integer(name, value, low=None, high=None):
    """Validates an integer and returns it as an int.

    Args:
        name: name of the argument.
        value: its value; NumPy integers are accepted.
        low, high: smallest and largest allowed value, or None.

    Raises:
        ValueError: if it is not an integer, a bool, or out of range.

    Example:

    >>> check_integer("radius", 5, low=1)
    5
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not _within(number, low, high):
        raise ValueError(f"`{name}` must be an integer{_limits(low, high)}. Received: {name}={value!r}")
    return number


def check_number(name, value, low=None, high=None, above=None, below=None):
    """Validates a finite real number and returns it.

    Args:
        name: name of the argument.
        value: its value.
        low, high: smallest and largest allowed value, or None.
        above, below: exclusive bounds, or None.

    Raises:
        ValueError: if it is not a number, not finite, a bool, or out of range.

    Example:

    >>> check_number("alpha", 0.5, low=0, high=1)
    0.5
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and _is_finite(value)
    if not number or not _within(value, low, high) or not _strictly_within(value, above, below):
        raise ValueError(
            f"`{name}` must be a number{_limits(low, high, above, below)}. Received: {name}={value!r}"
        )
    return value


def check_value_range(value_range):
    """Validates `value_range` and returns it as a pair of finite numbers, low before high.

    Args:
        value_range: the values of black and of white.

    Raises:
        ValueError: if it is not such a pair.

    Example:

    >>> check_value_range([0, 1])
    (0, 1)
    """
    try:
        low, high = (v.item() if hasattr(v, "item") else v for v in value_range)
        valid = _is_finite(low) and _is_finite(high) and low < high
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            "`value_range` must be two finite numbers, the first below the second. "
            f"Received: value_range={value_range!r}"
        )
    return low, high


def _is_finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:  # An integer or fraction too large for floating point, which all computations use.
        return False


def _within(value, low, high):
    return (low is None or value >= low) and (high is None or value <= high)


def _strictly_within(value, above, below):
    return (above is None or value > above) and (below is None or value < below)


def _limits(low, high, above=None, below=None):
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = {"of at least": low, "above": above, "of at most": high, "below": below}
    limits = " and ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)
    return f" {limits}" if limits else ""
