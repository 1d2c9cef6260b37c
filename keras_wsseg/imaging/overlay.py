"""Label maps in colors: over their images, and as separate layers."""

import numpy as np

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.labels import MOST_CLASSES, PADDING, UNLABELED
from keras_wsseg.imaging.palette import as_palette
from keras_wsseg.imaging.rgb import checked_image, unit_values

_OUTSIDE_BRIGHTNESS = 0.3
_RIM_BRIGHTNESS = 0.25
_HATCH_PERIOD = 8
_HATCH_COLOR = 110
# Rows drawn at once, so that a large image does not need many times its memory.
_BAND = 256


def overlay(image, labels, palette=None, alpha=0.5, value_range=(0, 255), enlarge=0):
    """Overlays a label map on its image, to show what is annotated or predicted where.

    Unlabeled pixels (255) show the image as it is; those outside the image (254) are darkened and hatched.
    With a palette of more than 254 colors both are classes.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, within `value_range`.
        labels: integers `(height, width)` or `(height, width, 1)`.
        palette: `(classes, 3)` red, green, blue of 0 to 255; `class_palette` by default.
        alpha: opacity of the colors, 0 to 1.
        value_range: the values of black and of white.
        enlarge: pixels by which annotations are enlarged into unlabeled surroundings, so that strokes one
            pixel wide and clicks are visible; a dark rim then separates them from an image of similar color.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError: if `labels` does not hold integers.
        ValueError: if sizes differ, a class has no color, a value is outside `value_range`, or `alpha` or
            `enlarge` is out of range.

    Example:

    >>> overlay(np.zeros((1, 2), np.uint8), np.array([[1, 255]]), palette=[[0, 0, 0], [200, 0, 0]]).tolist()
    [[[100, 0, 0], [0, 0, 0]]]
    """
    array = checked_image(image)
    palette = as_palette(palette)
    reserved = len(palette) <= MOST_CLASSES
    labels = checked_labels(labels, array.shape[:2], most=UNLABELED if reserved else len(palette) - 1)
    check_opacity(alpha)
    largest = labels[labels < PADDING].max(initial=0) if reserved else 0
    if largest >= len(palette):
        raise ValueError(
            f"`palette` must have a color for every class of `labels`. "
            f"Received: class {largest} and {len(palette)} colors"
        )
    pixels = check_integer("enlarge", enlarge, low=0)
    rim = np.zeros(labels.shape, bool)
    if pixels:
        labels = _grow(labels.astype(np.int64), pixels)
        rim = (_grow(labels, 1) < PADDING) & (labels >= PADDING)
    result = np.empty((*labels.shape, 3), np.uint8)
    for first in range(0, len(labels), _BAND):
        rows = slice(first, first + _BAND)
        band = np.array(np.broadcast_to(255 * unit_values(array[rows], value_range), result[rows].shape))
        band[rim[rows]] *= _RIM_BRIGHTNESS
        ids = labels[rows]
        painted = ids < PADDING if reserved else np.ones(ids.shape, bool)
        band[painted] += alpha * (palette[ids[painted]] - band[painted])
        if reserved:
            _hatch(band, ids == PADDING, first)
        result[rows] = np.rint(band)
    return result


def color_layer(labels, palette, alpha, transparent):
    """A label map as a color layer to overlay on its image.

    Args:
        labels: integers `(height, width)`: classes, or further values, which stay transparent.
        palette: `(classes, 3)` uint8.
        alpha: opacity of the colors, 0 to 1.
        transparent: ids of classes that stay transparent.

    Returns:
        `(height, width, 4)` uint8: red, green, blue and opacity.

    Raises:
        ValueError: if `alpha` is outside 0 to 1.

    Example:

    >>> color_layer(np.array([[0, 1, 255]]), [[9, 9, 9], [200, 0, 0]], alpha=0.4, transparent=[0]).tolist()
    [[[0, 0, 0, 0], [200, 0, 0, 102], [0, 0, 0, 0]]]
    """
    check_opacity(alpha)
    shown = np.zeros((len(palette) + 1, 4), np.uint8)
    shown[:-1, :3] = palette
    shown[:-1, 3] = round(alpha * 255)
    shown[list(transparent)] = 0
    layer = np.empty((*labels.shape, 4), np.uint8)
    for first in range(0, len(labels), _BAND):
        part = labels[first : first + _BAND].astype(np.int64)
        layer[first : first + _BAND] = shown[
            np.where((part >= 0) & (part < len(palette)), part, len(palette))
        ]
    return layer


def check_opacity(alpha):
    """Raises `ValueError` unless `alpha` is a number from 0 to 1."""
    check_number("alpha", alpha, low=0, high=1)


def checked_labels(labels, size, name="labels", most=UNLABELED):
    """Validates `labels` as an integer array of `size`, with ids from 0 to `most`; errors call it `name`."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers. Received: dtype={array.dtype}")
    flat = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if flat.shape != tuple(size):
        raise ValueError(
            f"`{name}` must have the height and width of the image, {tuple(size)}. "
            f"Received: shape={array.shape}"
        )
    if flat.min() < 0 or flat.max() > most:
        raise ValueError(
            f"`{name}` must hold ids from 0 to {most}. Received: ids from {flat.min()} to {flat.max()}"
        )
    return flat


def _hatch(band, outside, first):
    band[outside] *= _OUTSIDE_BRIGHTNESS
    rows, columns = np.nonzero(outside)
    lines = (rows + first + columns) % _HATCH_PERIOD == 0
    band[rows[lines], columns[lines]] = _HATCH_COLOR


def _grow(labels, pixels):
    labels = np.pad(labels, 1, constant_values=UNLABELED)
    inside = np.zeros(labels.shape, bool)
    inside[1:-1, 1:-1] = True
    cross = ((-1, 0), (1, 0), (0, -1), (0, 1))
    corners = ((-1, -1), (-1, 1), (1, -1), (1, 1))
    for step in range(pixels):
        # Alternating cross and square grow a dot into an octagon, which looks like a disk.
        before = labels.copy()
        for shift in cross if step % 2 == 0 else (*cross, *corners):
            neighbor = np.roll(before, shift, axis=(0, 1))
            free = inside & (labels == UNLABELED) & (neighbor < PADDING)
            labels[free] = neighbor[free]
    return labels[1:-1, 1:-1]
