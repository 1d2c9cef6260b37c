"""Gradients of self-adjoint linear maps."""

from keras import ops


def self_adjoint(apply):
    """Gives a linear map `y = A x` with symmetric `A` its gradient, which applies `A` again.

    This avoids storing what automatic differentiation would keep for the backward pass, the kernel matrix of
    every tile: the backward pass takes the time of the forward pass and no extra memory.

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
