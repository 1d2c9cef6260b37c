"""Class maps in colours: over their pictures, and as layers of their own."""

import numpy as np

# Rows painted at once, so that a large picture does not need many times its memory.
BAND = 256


def paint_over(picture, mask, palette, value_range, alpha):
    """Mixes a picture with the colours of its classes.

    Args:
        picture: `(height, width, 1 or 3)` in `value_range`.
        mask: `(height, width)` classes.
        palette: `(classes, 3)` uint8.
        value_range: `(low, high)`.
        alpha: strength of the colours, 0 to 1.

    Returns:
        `(height, width, 3)` uint8.
    """
    low, high = value_range
    colours = (alpha * palette).astype(np.float32)
    painted = np.empty((*mask.shape, 3), np.uint8)
    for first in range(0, len(mask), BAND):
        rows = slice(first, first + BAND)
        faded = (np.float32(1 - alpha) * 255 / (high - low)) * (picture[rows].astype(np.float32) - low)
        painted[rows] = np.rint(np.clip(faded + colours[mask[rows]], 0, 255))
    return painted


def colour_layer(mask, palette, alpha, transparent):
    """A class map as a layer of colours that can be laid over its picture.

    Args:
        mask: `(height, width)`: classes, or further numbers, which stay transparent.
        palette: `(classes, 3)` uint8.
        alpha: opacity of the colours, 0 to 1.
        transparent: numbers of classes that stay transparent.

    Returns:
        `(height, width, 4)` uint8: red, green, blue and opacity.
    """
    shown = np.zeros((len(palette) + 1, 4), np.uint8)
    shown[:-1, :3] = palette
    shown[:-1, 3] = round(alpha * 255)
    shown[list(transparent)] = 0
    layer = np.empty((*mask.shape, 4), np.uint8)
    for first in range(0, len(mask), BAND):
        part = mask[first : first + BAND].astype(np.int64)
        layer[first : first + BAND] = shown[np.where((part >= 0) & (part < len(palette)), part, len(palette))]
    return layer
