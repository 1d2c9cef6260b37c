"""The pixel graph of a region, for paths along it."""

import numpy as np


def pixel_pairs(inside):
    """Every pair of 8-connected pixels of a region, once.

    Args:
        inside: boolean array `(height, width)`.

    Returns:
        `(points, one, other, distance)`: `(n, 2)` rows and columns of the pixels in reading order; for every
            pair the indices of its pixels, and the distance of their centers, 1.0 or the square root of 2.

    Example:

    >>> points, one, other, distance = pixel_pairs(np.eye(2, dtype=bool))
    >>> points.tolist(), one.tolist(), other.tolist(), round(float(distance[0]), 3)
    ([[0, 0], [1, 1]], [0], [1], 1.414)
    """
    points = np.argwhere(inside)
    index = np.full(np.array(inside.shape) + 2, -1)
    index[points[:, 0] + 1, points[:, 1] + 1] = np.arange(len(points))
    ones, others, distances = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = index[points[:, 0] + 1 + down, points[:, 1] + 1 + right]
        one = np.flatnonzero(other >= 0)
        ones.append(one)
        others.append(other[one])
        distances.append(np.full(len(one), np.hypot(down, right)))
    return points, np.concatenate(ones), np.concatenate(others), np.concatenate(distances)
