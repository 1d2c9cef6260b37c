"""Logits that are not finite."""

from keras import ops


def without_infinities(x, most=1e9):
    """Bounds numbers, so that sums and products with them hold no NaN.

    A class that a model masks has logits of -inf, and what overflows in float16 is infinite as well:
    `0 * inf` and `inf - inf` are NaN. A softmax takes the bound for what it takes -inf for.

    Args:
        x: of any floating type.
        most: the bound, beyond all that a logit can mean.

    Returns:
        The same within +-`most`, float32. NaN stays.

    Example:

    >>> import numpy as np
    >>> float(without_infinities(np.float32(-np.inf))) == -1e9
    True
    """
    return ops.clip(ops.cast(x, "float32"), -most, most)
