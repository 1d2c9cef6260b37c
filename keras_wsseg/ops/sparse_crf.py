"""The sparse CRF over the edges of the pixel grid."""

import numbers

from keras import ops

from keras_wsseg.arguments import check_number


def neighbor_weights(guide, sigma_rgb):
    """Similarity of vertical and horizontal neighbors.

    `w_pq = exp(-|C_p - C_q|^2 / 2 sigma_rgb^2)` for each pair of 4-neighbors.

    Args:
        guide: `(batch, height, width, channels)`, the image in [0, 1].
        sigma_rgb: width in color, a number or scalar tensor above 0.

    Returns:
        `(batch, height - 1, width)` and `(batch, height, width - 1)`, float32: each pixel with the one below,
        and with the one to its right.

    Raises:
        ValueError: if `sigma_rgb` is a number that is not above 0.

    Example:

    >>> import numpy as np
    >>> row = np.array([0.0, 0.0, 1.0], "float32").reshape(1, 1, 3, 1)
    >>> [round(float(w), 4) for w in ops.ravel(neighbor_weights(row, 0.5)[1])]
    [1.0, 0.1353]

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", ECCV.
    """
    if isinstance(sigma_rgb, numbers.Real):
        check_number("sigma_rgb", sigma_rgb, above=0)
    guide = ops.cast(guide, "float32")
    # Divided before squaring, since the square of a small sigma_rgb would underflow to 0.
    sigma_rgb = ops.cast(sigma_rgb, "float32")
    return tuple(
        ops.exp(-0.5 * ops.sum(ops.square((first - second) / sigma_rgb), axis=-1))
        for first, second in _neighbors(guide)
    )


def sparse_crf_energy(x, guide, sigma_rgb, mask=None):
    r"""The sparse CRF energy of each image: the cost of separating neighbors that look alike.

    `E = 1/2 sum_direction mean_{(p, q)} w_pq |x_p - x_q|`, with each pair of 4-neighbors once, and vertical
    and horizontal pairs averaged separately. A direction without pairs does not count.

    Args:
        x: `(batch, height, width)`, the object's probability.
        guide: `(batch, height, width, channels)`, the image in [0, 1].
        sigma_rgb: width in color, above 0.
        mask: `(batch, height, width)` of 0 and 1, or None: only pairs in which both pixels are 1 count.

    Returns:
        `(batch,)`, float32, within [0, 1]; 0 if no pair counts.

    Example:

    >>> import numpy as np
    >>> guide = np.array([0.0, 0.0, 1.0, 1.0], "float32").reshape(1, 1, 4, 1)
    >>> along, across = np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]])
    >>> [round(float(sparse_crf_energy(x, guide, 0.15)[0]), 4) for x in (along, across)]
    [0.0, 0.3333]

    Source: Veksler 2020, the sparse CRF. The paper prints the sum over pairs; the mean is that of the
    published code, without which it would dominate the other terms and weights would depend on the size.
    """
    x = ops.cast(x, "float32")
    mask = ops.ones_like(x) if mask is None else ops.cast(mask, "float32")
    total = count = 0.0
    directions = zip(neighbor_weights(guide, sigma_rgb), _neighbors(x), _neighbors(mask), strict=True)
    for weights, (first, second), (first_mask, second_mask) in directions:
        valid = first_mask * second_mask
        pairs = ops.sum(valid, axis=(1, 2))
        cost = ops.sum(valid * weights * ops.abs(first - second), axis=(1, 2))
        total += ops.divide_no_nan(cost, pairs)
        count += ops.cast(pairs > 0, "float32")
    return ops.divide_no_nan(total, count)


def _neighbors(values):
    """Each pixel and the one below, then each pixel and the one to its right."""
    return (values[:, :-1], values[:, 1:]), (values[:, :, :-1], values[:, :, 1:])
