"""Logits that are not finite."""

from keras import ops


def without_infinities(x):
    """Bounds numbers, so that sums and products with them hold no NaN.

    A class that a model masks has logits of -inf, and what overflows in float16 is infinite as well: `0 * inf`
    and `inf - inf` are NaN. A softmax takes the bound for what it takes -inf for.

    Args:
        x: of any floating type.

    Returns:
        The same within +-1e30, float32. NaN stays.

    Example:

    >>> import numpy as np
    >>> float(without_infinities(np.float32(-np.inf))) < -9e29
    True
    """
    return ops.clip(ops.cast(x, "float32"), -1e30, 1e30)
