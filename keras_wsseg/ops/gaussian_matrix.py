"""The matrix of Gaussian affinities between two sets of pixels."""

import math

import numpy as np
from keras import ops

from keras_wsseg.ops import backend

_POWERS = (2.0 ** np.arange(-40, 60)).astype("float32")


def gaussian_matrix(a, b):
    """`exp(-|a_i - b_j|^2 / 2)` for all pairs.

    Both sets should lie around the origin. In `|a|^2 + |b|^2 - 2 a b` the squares of far points would eat the
    digits of what is left of them: each point is split into a multiple of a power of two, whose squares and
    products float32 holds exactly, and the small rest.

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
    unit = _unit(a, b)
    a_head, b_head = (unit * ops.round(x / unit) for x in (a, b))
    a_rest, b_rest = a - a_head, b - b_head
    a_square, b_square = (-0.5 * ops.sum(ops.square(x), axis=-1, keepdims=True) for x in (a_head, b_head))
    a_small = -ops.sum((a_head + 0.5 * a_rest) * a_rest, axis=-1, keepdims=True)
    b_small = -ops.sum((b_head + 0.5 * b_rest) * b_rest, axis=-1, keepdims=True)
    one = ops.ones_like
    # The large terms come first: they cancel before the small ones are added.
    left = ops.concatenate([a_head, a_square, one(a_square), a_head, a_rest, a_small, one(a_small)], axis=-1)
    right = ops.concatenate([b_head, one(b_square), b_square, b_rest, b, one(b_small), b_small], axis=-1)
    exponent = ops.matmul(left, ops.swapaxes(right, -1, -2))
    # Rounding may lift the exponent of two equal pixels above zero.
    return ops.exp(ops.minimum(exponent, 0.0))


def _unit(a, b):
    """The power of two of which no number is so large a multiple that squares of points would be rounded."""
    most = 2.0 ** math.floor(math.log2(math.sqrt(2**24 / (3 * a.shape[-1]))))
    largest = ops.maximum(ops.max(ops.abs(a)), ops.max(ops.abs(b)))
    return ops.min(ops.where(most * _POWERS >= largest, _POWERS, _POWERS[-1]))
