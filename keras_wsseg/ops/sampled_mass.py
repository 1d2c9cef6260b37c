"""Exact Gaussian sums at a few pixels, to calibrate and evaluate approximations."""

from keras import ops

from keras_wsseg.ops.gaussian_matrix import gaussian_matrix

AT_ONCE = 16
"""Number of sums computed at once, which bounds the memory to this many numbers per pixel."""


def sampled_mass(sample, features, mask):
    """`sum_q exp(-|f_p - f_q|^2 / 2)` over the pixels of the mask, at a sample of pixels.

    Args:
        sample: `(batch, count, channels)`, features of the pixels p; `count` is a multiple of `AT_ONCE`.
        features: `(batch, pixels, channels)`, float32, divided by sigma.
        mask: `(batch, pixels)`, float32.

    Returns:
        `(batch, count)`, float32.
    """
    batch, count, channels = ops.shape(sample)
    parts = ops.transpose(ops.reshape(sample, (batch, -1, AT_ONCE, channels)), (1, 0, 2, 3))
    sums = ops.map(lambda some: ops.sum(gaussian_matrix(some, features) * mask[:, None, :], axis=2), parts)
    return ops.reshape(ops.transpose(sums, (1, 0, 2)), (batch, count))
