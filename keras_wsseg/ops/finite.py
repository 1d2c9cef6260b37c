"""Handling of non-finite logits."""

from keras import ops


def without_infinities(x, most=1e9):
    """Bounds numbers, so that sums and products with them contain no NaN.

    A class masked by a model has logits of -inf, and overflow in float16 gives infinities as well: `0 * inf`
    and `inf - inf` are NaN. A softmax treats the bound like -inf.

    Args:
        x: tensor of any floating type.
        most: the bound, beyond any meaningful logit.

    Returns:
        The same values within +-`most`, float32. NaN is preserved.

    Example:

    >>> import numpy as np
    >>> float(without_infinities(np.float32(-np.inf))) == -1e9
    True
    """
    return ops.clip(ops.cast(x, "float32"), -most, most)
