"""Shortens drawn scribbles."""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from keras_wsseg.annotations.pixel_pairs import pixel_pairs
from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.label_map import check_label_map
from keras_wsseg.imaging.labels import PADDING, UNLABELED


def shorten_scribbles(labels, length, seed=0):
    """Keeps a connected part of every stroke, to measure the effect of shorter scribbles.

    A stroke is an 8-connected component of one class. It is traversed from a random pixel in all directions,
    and the pixels nearest to it *along the stroke* are kept: a fraction `length` of all, at least one. The
    thickness thus stays as drawn, curves, branches and closed strokes need no special treatment, and with the
    same seed a shorter part is always contained in a longer one. The length is measured in pixels of the
    stroke, thus by area where its thickness varies.

    Args:
        labels: integer array `(height, width)` of class ids on strokes; 255 unlabeled, 254 outside the
            image.
        length: fraction of each stroke to keep, from 0 (a single pixel: a click) to 1 (as drawn).
        seed: seed of the positions of the parts, a non-negative integer or a sequence of them.

    Returns:
        uint8 array `(height, width)`: `labels` with 255 where the strokes were cut off.

    Raises:
        TypeError, ValueError: an argument is not as above.

    Example:

    >>> stroke = np.full((3, 10), 255)
    >>> stroke[1] = 2
    >>> [(shorten_scribbles(stroke, length) == 2).sum().item() for length in (0, 0.3, 1)]
    [1, 3, 10]

    Source: the experiment of Tang et al. 2018, arXiv:1803.09569, section 4.4.
    """
    labels = check_label_map(labels)
    check_number("length", length, low=0, high=1)
    random = np.random.default_rng(seed)
    shortened = labels.copy()
    points, one, other, distance = pixel_pairs(labels < PADDING)
    if len(points) == 0:
        return shortened
    ids = labels[points[:, 0], points[:, 1]]
    same = ids[one] == ids[other]
    graph = sparse.csr_matrix((distance[same], (one[same], other[same])), shape=(len(points), len(points)))
    count, stroke = csgraph.connected_components(graph, directed=False)
    sizes = np.bincount(stroke)
    first = np.cumsum(sizes) - sizes
    starts = np.argsort(stroke, kind="stable")[first + (random.random(count) * sizes).astype(int)]
    along = csgraph.dijkstra(graph, directed=False, indices=starts, min_only=True)
    # A pixel's path to the start contains only nearer ones, so the first of this order are connected.
    order = np.lexsort((along, stroke))
    rank = np.arange(len(points)) - first[stroke[order]]
    cut = points[order[rank >= np.maximum(1, np.rint(length * sizes))[stroke[order]]]]
    shortened[cut[:, 0], cut[:, 1]] = UNLABELED
    return shortened
