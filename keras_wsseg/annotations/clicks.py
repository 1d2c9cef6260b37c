"""Clicks: one annotated pixel per thing."""

import numpy as np

from keras_wsseg.annotations.components import components
from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.label_map import check_label_map
from keras_wsseg.imaging.labels import PADDING, UNLABELED


def enlarge_clicks(labels, size):
    """Enlarges every annotated pixel to a square, for more supervision from the same clicks.

    Pixels that are already annotated or outside the image do not change. Where squares overlap, the click
    that comes first in reading order takes the pixel.

    Args:
        labels: integer array `(height, width)`; 255 unlabeled, 254 outside the image.
        size: side of the square in pixels, odd.

    Returns:
        uint8 array `(height, width)`.

    Raises:
        ValueError: `size` is not a positive odd integer.

    Example:

    >>> enlarge_clicks(np.array([[255, 255, 255, 255], [1, 255, 255, 254]]), 3).tolist()
    [[1, 1, 255, 255], [1, 1, 255, 254]]
    """
    if check_integer("size", size, low=1) % 2 == 0:
        raise ValueError(f"`size` must be a positive odd integer. Received: size={size!r}")
    labels = check_label_map(labels)
    enlarged, reach = labels.copy(), size // 2
    for row, column in np.argwhere(labels < PADDING):
        square = enlarged[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
        square[square == UNLABELED] = labels[row, column]
    return enlarged


def simulate_clicks(labels, size=1, stuff_classes=(), min_stuff_area=256, instances=None):
    """Places one click on every thing of a dense label map, as in the Gated CRF experiments.

    Use it to measure the benefit of clicks on data with dense labels. Each 8-connected component of a class,
    or of each instance if known, gets one pixel: its centroid if that is inside, otherwise, over its pixels
    sorted by distance d to the centroid, the first with `d >= d_min + 0.025 (d_max - d_min)`, which is near
    the middle but not at the very border.

    Args:
        labels: integer array `(height, width)` of class ids; 255 unlabeled, 254 outside the image.
        size: side of the click in pixels, odd; see `enlarge_clicks`.
        stuff_classes: ids of classes without countable things (sky, road), whose specks an annotator would
            not click.
        min_stuff_area: components of `stuff_classes` of fewer pixels get no click.
        instances: integer array `(height, width)`, a positive number per thing, 0 where unknown.

    Returns:
        uint8 array `(height, width)`: the class at the clicks, 254 where `labels` has it, 255 elsewhere.

    Raises:
        TypeError, ValueError: an argument is not as above.

    Example:

    >>> labels = np.zeros((3, 5), np.uint8)
    >>> simulate_clicks(labels).tolist()[1]
    [255, 255, 0, 255, 255]

    Source: Obukhov et al. 2019, arXiv:1906.04651, section on Cityscapes clicks.
    """
    labels = check_label_map(labels)
    stuff = frozenset(int(class_id) for class_id in stuff_classes)
    if not stuff <= frozenset(range(PADDING)):
        raise ValueError(f"`stuff_classes` must be class ids. Received: stuff_classes={stuff_classes!r}")
    check_integer("min_stuff_area", min_stuff_area, low=0)
    if instances is not None:
        instances = np.asarray(instances)
        if instances.shape != labels.shape or instances.dtype.kind not in "iu":
            raise ValueError(
                f"`instances` must hold integers and have the shape {labels.shape} of the labels. "
                f"Received: instances of {instances.dtype} and shape {instances.shape}"
            )
    clicks = np.where(labels == PADDING, PADDING, UNLABELED).astype(np.uint8)
    for class_id, (rows, columns), mask in components(labels, instances):
        if class_id in stuff and np.count_nonzero(mask) < min_stuff_area:
            continue
        row, column = _click(mask)
        clicks[rows.start + row, columns.start + column] = class_id
    return enlarge_clicks(clicks, size)


def _click(mask):
    pixels = np.argwhere(mask)
    centroid = pixels.mean(axis=0)
    row, column = np.floor(centroid + 0.5).astype(int)
    if mask[row, column]:
        return row, column
    distance = np.sqrt(((pixels - centroid) ** 2).sum(axis=1))
    order = np.argsort(distance, kind="stable")
    nearest, farthest = distance[order[0]], distance[order[-1]]
    first = np.argmax(distance[order] >= nearest + 0.025 * (farthest - nearest))
    return tuple(pixels[order[first]])
