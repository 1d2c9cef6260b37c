"""The matrix of Gaussian affinities between two sets of pixels."""

from keras import ops

from keras_wsseg.ops import backend

MAX_SIGMAS = 64.0
"""Maximum distance from the origin, in sigmas, at which the exponent is computed by a matrix product: its
error grows with the square of the distance, to about 5e-4 of a kernel's value there."""


def gaussian_matrix(a, b):
    """`exp(-|a_i - b_j|^2 / 2)` for all pairs.

    `a b - (a^2 + b^2) / 2` is a single matrix product, but suffers from cancellation if the squares are
    large. In that case, and on devices with reduced matrix precision, differences are computed per channel,
    which takes up to three times as long on a CPU.

    Args:
        a: `(..., n, channels)`, float32, already divided by sigma, preferably centered at the origin. No
            gradient flows to them.
        b: `(..., m, channels)`, likewise.

    Returns:
        `(..., n, m)`, float32, no value above 1.
    """
    if backend.has_coarse_matmul():
        return exact_gaussian_matrix(a, b)
    farthest = ops.maximum(_largest_square(a), _largest_square(b))
    return ops.cond(farthest > MAX_SIGMAS**2, lambda: exact_gaussian_matrix(a, b), lambda: _of_products(a, b))


def exact_gaussian_matrix(a, b):
    """`gaussian_matrix` by differences per channel, accurate at any distance from the origin."""
    squares = 0.0
    for channel in range(a.shape[-1]):
        difference = ops.subtract(a[..., :, None, channel], b[..., None, :, channel])
        squares = squares + ops.square(difference)
    return ops.exp(-0.5 * squares)


def _largest_square(features):
    return ops.max(ops.sum(ops.square(features), axis=-1))


def _of_products(a, b):
    a_norm = -0.5 * ops.sum(ops.square(a), axis=-1, keepdims=True)
    b_norm = -0.5 * ops.sum(ops.square(b), axis=-1, keepdims=True)
    left = ops.concatenate([a, a_norm, ops.ones_like(a_norm)], axis=-1)
    right = ops.concatenate([b, ops.ones_like(b_norm), b_norm], axis=-1)
    exponent = ops.matmul(left, ops.swapaxes(right, -1, -2))
    # Rounding may raise the exponent of two equal pixels above zero.
    return ops.exp(ops.minimum(exponent, 0.0))
