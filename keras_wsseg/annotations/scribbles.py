"""Scribbles: one pen stroke inside each region."""

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from keras_wsseg.annotations.components import EIGHT_NEIGHBORS, components
from keras_wsseg.annotations.pixel_pairs import pixel_pairs
from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.label_map import check_label_map
from keras_wsseg.imaging.labels import PADDING, UNLABELED

# A stroke bends far less often than once per pixel: its path is searched on at most this many points.
_MAX_NODES = 900
# Like hand-drawn ones, strokes stay where the region is at least this wide, as a fraction of its largest
# width.
_CORE = 0.35
# Regions of fewer pixels than this get a dot.
_DOT = 10


def simulate_scribbles(labels, length=1.0, seed=0, width=3, min_area=1):
    """Draws one stroke inside every component of a dense label map, as an annotator would.

    Use it to measure the benefit of scribbles, and of their length, on data with dense labels. The stroke
    follows the longest path through the inner part of the component, at a distance from its border and with
    slight jitter, and is clipped to the component: every drawn pixel has the correct class.

    Args:
        labels: integer array `(height, width)` of class ids; 255 unlabeled, 254 outside the image.
        length: fraction of the stroke that is drawn, from 0 (a single click) to 1.
        seed: seed of the jitter, and of the position of a shortened stroke; the same seed gives the same
            scribbles.
        width: thickness of the stroke in pixels.
        min_area: components of fewer pixels get no stroke.

    Returns:
        uint8 array `(height, width)`: the class on the strokes, 254 where `labels` has it, 255 elsewhere.

    Raises:
        TypeError, ValueError: an argument is not as above.

    Example:

    >>> labels = np.zeros((9, 40), np.uint8)
    >>> strokes = simulate_scribbles(labels)
    >>> sorted(set(strokes.ravel().tolist())), bool((strokes == 0).sum() < 150)
    ([0, 255], True)
    """
    labels = check_label_map(labels)
    check_number("length", length, low=0, high=1)
    check_integer("width", width, low=1)
    check_integer("min_area", min_area, low=0)
    random = np.random.default_rng(seed)
    scribbles = np.where(labels == PADDING, PADDING, UNLABELED).astype(np.uint8)
    for class_id, window, mask in components(labels):
        if np.count_nonzero(mask) >= min_area:
            scribbles[window][_stroke(mask, length, width, random)] = class_id
    return scribbles


def _stroke(mask, length, width, random):
    if np.count_nonzero(mask) < _DOT:
        pixels = np.argwhere(mask)
        middle = pixels[np.argmin(((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1))]
        return _brush(middle[None].astype(float), mask.shape, width) & mask
    padded = np.pad(mask, 1)
    depth = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    course = _centerline(depth)
    # Drawn independently of the length, so that a shorter stroke with the same seed is part of the longer
    # one.
    place, jitter = random.random(), random.standard_normal((64, 2))
    if len(course) > 2:
        course = _smooth(course, depth, jitter)
    course = _shorten(course, length, place)
    drawn = _brush(course, mask.shape, width) & mask
    if not drawn.any():
        drawn[np.unravel_index(np.argmax(depth), depth.shape)] = True
    return drawn


def _centerline(depth):
    """The longest path through the inner part of a region, `(points, 2)` rows and columns."""
    peak = np.unravel_index(np.argmax(depth), depth.shape)
    core = depth >= _CORE * depth[peak]
    step = min(int(np.ceil(np.sqrt(np.count_nonzero(core) / _MAX_NODES))), max(1, int(0.6 * depth[peak])))
    rows, columns = (
        np.arange(peak[0] % step, depth.shape[0], step),
        np.arange(peak[1] % step, depth.shape[1], step),
    )
    coarse, inside = depth[np.ix_(rows, columns)], core[np.ix_(rows, columns)]
    numbered = ndimage.label(inside, EIGHT_NEIGHBORS)[0]
    start = (peak[0] // step, peak[1] // step)
    inside = numbered == numbered[start]
    plain, ridge, points = _graphs(coarse, inside)
    if len(points) == 1:
        return np.array([peak], float)
    node = int(np.flatnonzero((points == start).all(axis=1))[0])
    # Two searches for the farthest point: exact on trees, and a region's inner part is close to one.
    first = int(np.argmax(csgraph.dijkstra(plain, indices=node)))
    last = int(np.argmax(csgraph.dijkstra(plain, indices=first)))
    _, before = csgraph.dijkstra(ridge, indices=first, return_predecessors=True)
    way = [last]
    while way[-1] != first:
        way.append(int(before[way[-1]]))
    chosen = points[way]
    return np.stack([rows[chosen[:, 0]], columns[chosen[:, 1]]], axis=1).astype(float)


def _graphs(depth, inside):
    """Graphs of neighboring pixels, weighted by distance, and by a distance that is short along the ridge."""
    points, one, other, plain = pixel_pairs(inside)
    shallow = 1 - depth[inside] / depth.max()
    ridge = plain * (1 + 12 * ((shallow[one] + shallow[other]) / 2) ** 2)
    both = np.concatenate([one, other]), np.concatenate([other, one])
    shape = (len(points), len(points))

    def graph(weights):
        return sparse.csr_matrix((np.concatenate([weights, weights]), both), shape=shape)

    return graph(plain), graph(ridge), points


def _smooth(course, depth, jitter):
    """Evenly spaced points, corners rounded, displaced by jitter within the width of the region."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(course, axis=0).T))])
    count = int(np.ceil(along[-1])) + 1
    positions = np.linspace(0, along[-1], count)
    even = np.stack([np.interp(positions, along, course[:, axis]) for axis in (0, 1)], axis=1)
    room = np.minimum(ndimage.map_coordinates(depth, even.T, order=1, mode="nearest"), 12.0)
    rounded = ndimage.gaussian_filter1d(
        even, sigma=max(1.0, 0.6 * float(room.mean())), axis=0, mode="nearest"
    )
    # One random offset about every 12 pixels, repeating after 64 of them.
    knots = np.arange(64) * 12.0
    wave = np.stack([np.interp(positions % knots[-1], knots, jitter[:, axis]) for axis in (0, 1)], axis=1)
    wave = ndimage.gaussian_filter1d(wave, sigma=4.0, axis=0, mode="nearest")
    return rounded + 0.15 * room[:, None] * wave


def _shorten(course, length, place):
    keep = max(1, round(length * len(course)))
    # A shortened stroke is near the middle of the whole one, whose ends reach the region's far corners.
    first = round((len(course) - keep) * (0.25 + 0.5 * place))
    return course[first : first + keep]


def _brush(course, shape, width):
    """All pixels within half the pen width of the path."""
    if len(course) > 1:
        fine = np.linspace(0, len(course) - 1, 2 * len(course))
        course = np.stack(
            [np.interp(fine, np.arange(len(course)), course[:, axis]) for axis in (0, 1)], axis=1
        )
    pixels = np.floor(course + 0.5).astype(int)
    pixels = pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]
    drawn = np.zeros(shape, bool)
    drawn[pixels[:, 0], pixels[:, 1]] = True
    if width > 1:
        reach = np.arange(width) - (width - 1) / 2
        tip = np.hypot(*np.meshgrid(reach, reach)) <= max(width / 2, 1.42)
        drawn = ndimage.binary_dilation(drawn, tip)
    return drawn
