"""Gradients of linear maps that are their own adjoint."""

from keras import ops


def self_adjoint(apply):
    """Gives a linear map `y = A x` with `A` symmetric its gradient, which is `A` once more.

    What automatic differentiation would keep for the way back, the kernel matrix of every tile, need not be
    kept then: the way back costs the time of the way there and no memory.

    Args:
        apply: function of one float32 tensor.

    Returns:
        The same function with that gradient.
    """

    @ops.custom_gradient
    def mapped(x):
        def gradient(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)
            return apply(upstream)

        return apply(x), gradient

    return mapped
