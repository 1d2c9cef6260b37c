"""Label maps laid over their picture."""

import numpy as np

from keras_wsseg.annotations.labels import OUTSIDE, UNLABELLED
from keras_wsseg.visualization.checked_integer import checked_integer
from keras_wsseg.visualization.palette import as_palette
from keras_wsseg.visualization.rgb import rgb_picture

_OUTSIDE_BRIGHTNESS = 0.3
_RIM_BRIGHTNESS = 0.25
_HATCH_PERIOD = 8
_HATCH_COLOUR = 110


def overlay(image, labels, palette=None, alpha=0.5, value_range=(0, 255), enlarge=0):
    """A label map laid over its picture, to see what is annotated or predicted where.

    Unlabelled pixels (255) show the picture as it is; those outside the image (254) are darkened and hatched.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, within `value_range`.
        labels: integers `(height, width)` or `(height, width, 1)`.
        palette: `(classes, 3)` red, green, blue of 0 to 255; `class_palette` by default.
        alpha: opacity of the colours, 0 to 1.
        value_range: the values of black and of white.
        enlarge: pixels by which annotations grow into unlabelled surroundings, so that strokes one pixel wide
            and clicks can be seen; a dark rim then sets them off from a picture of their colour.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError: if `labels` holds no integers, or `enlarge` is none.
        ValueError: if sizes differ, a class has no colour, a value lies outside `value_range`, or `alpha` or
            `enlarge` is out of range.

    Example:

    >>> overlay(np.zeros((1, 2), np.uint8), np.array([[1, 255]]), palette=[[0, 0, 0], [200, 0, 0]]).tolist()
    [[[100, 0, 0], [0, 0, 0]]]
    """
    picture = rgb_picture(image, value_range)
    labels = checked_labels(labels, picture.shape[:2])
    palette = as_palette(palette)
    if not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must be 0 to 1. Received: alpha={alpha}")
    annotated = labels[labels < OUTSIDE]
    if annotated.size and annotated.max() >= len(palette):
        raise ValueError(
            f"`palette` must have a colour for every class of `labels`. "
            f"Received: class {annotated.max()} and {len(palette)} colours"
        )
    pixels = checked_integer("enlarge", enlarge, 0)
    labels = _grow(labels, pixels)
    painted = labels < OUTSIDE
    result = picture.astype(np.float32)
    if pixels:
        result[(_grow(labels, 1) < OUTSIDE) & ~painted] *= _RIM_BRIGHTNESS
    result[painted] += alpha * (palette[labels[painted]] - result[painted])
    outside = labels == OUTSIDE
    result[outside] *= _OUTSIDE_BRIGHTNESS
    rows, columns = np.indices(labels.shape)
    result[outside & ((rows + columns) % _HATCH_PERIOD == 0)] = _HATCH_COLOUR
    return np.rint(result).astype(np.uint8)


def checked_labels(labels, size, name="labels"):
    """`labels` as an int64 array of `size`, with ids from 0 to 255; the error calls it `name`."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers. Received: dtype={array.dtype}")
    flat = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if flat.shape != tuple(size):
        raise ValueError(
            f"`{name}` must have the height and width of the image, {tuple(size)}. "
            f"Received: shape={array.shape}"
        )
    if flat.min() < 0 or flat.max() > UNLABELLED:
        raise ValueError(
            f"`{name}` must hold ids from 0 to 255. Received: ids from {flat.min()} to {flat.max()}"
        )
    return flat.astype(np.int64)


def _grow(labels, pixels):
    labels = np.pad(labels, 1, constant_values=UNLABELLED)
    inside = np.zeros(labels.shape, bool)
    inside[1:-1, 1:-1] = True
    cross = ((-1, 0), (1, 0), (0, -1), (0, 1))
    corners = ((-1, -1), (-1, 1), (1, -1), (1, 1))
    for step in range(pixels):
        # Cross and square by turns grow a dot into an octagon, which the eye takes for a disk.
        before = labels.copy()
        for shift in cross if step % 2 == 0 else (*cross, *corners):
            neighbour = np.roll(before, shift, axis=(0, 1))
            free = inside & (labels == UNLABELLED) & (neighbour < OUTSIDE)
            labels[free] = neighbour[free]
    return labels[1:-1, 1:-1]
