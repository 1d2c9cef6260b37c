"""The matrix of Gaussian affinities between two sets of pixels."""

from keras import ops

from keras_wsseg.ops import backend


def gaussian_matrix(a, b):
    """`exp(-|a_i - b_j|^2 / 2)` for all pairs.

    Both sets should lie around the origin: the squares of far positions eat the digits of the exponent.

    Args:
        a: `(..., n, channels)`, float32, already divided by sigma.
        b: `(..., m, channels)`, likewise.

    Returns:
        `(..., n, m)`, float32, no value above 1.
    """
    if backend.multiplies_coarsely():
        squares = 0.0
        for channel in range(a.shape[-1]):
            difference = ops.subtract(a[..., :, None, channel], b[..., None, :, channel])
            squares = squares + ops.square(difference)
        return ops.exp(-0.5 * squares)
    a_norm = -0.5 * ops.sum(ops.square(a), axis=-1, keepdims=True)
    b_norm = -0.5 * ops.sum(ops.square(b), axis=-1, keepdims=True)
    left = ops.concatenate([a, a_norm, ops.ones_like(a_norm)], axis=-1)
    right = ops.concatenate([b, ops.ones_like(b_norm), b_norm], axis=-1)
    exponent = ops.matmul(left, ops.swapaxes(right, -1, -2))
    # Rounding may lift the exponent of two equal pixels above zero.
    return ops.exp(ops.minimum(exponent, 0.0))
