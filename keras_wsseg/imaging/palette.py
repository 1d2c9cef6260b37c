"""The colors of classes, over images and in label map files."""

import colorsys

import numpy as np

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.labels import MOST_CLASSES

# Class 0 is usually the background: gray, which is visible on both black and white images and leaves the
# colors to the objects.
_FIRST = (
    (150, 150, 158),
    (230, 57, 70),
    (42, 157, 244),
    (255, 200, 10),
    (46, 196, 112),
    (160, 90, 230),
    (255, 118, 35),
    (0, 206, 209),
    (240, 80, 190),
    (170, 220, 40),
    (140, 84, 52),
    (95, 110, 250),
    (255, 160, 160),
    (0, 128, 110),
    (205, 180, 255),
    (150, 20, 60),
    (250, 240, 130),
    (20, 80, 160),
    (160, 255, 200),
    (120, 120, 0),
    (250, 250, 250),
)
_GOLDEN_RATIO = 0.618034


def class_palette(num_classes):
    """Colors that are distinct from an image under them and from each other.

    The colors of PASCAL VOC, with a black background and dark hues, are invisible on a dark image such as an
    MRI.

    Args:
        num_classes: number of colors, 1 to 254.

    Returns:
        uint8 `(num_classes, 3)`, red, green, blue; class 0 is gray.

    Raises:
        ValueError: if `num_classes` is not within 1 to 254.

    Example:

    >>> class_palette(2).tolist()
    [[150, 150, 158], [230, 57, 70]]
    """
    check_integer("num_classes", num_classes, low=1, high=MOST_CLASSES)
    more = [_spread_color(i) for i in range(num_classes - len(_FIRST))]
    return np.array([*_FIRST, *more][:num_classes], dtype=np.uint8)


def voc_palette(n=256):
    """Colors of the PASCAL VOC palette, which most tools expect in label PNGs.

    Bit `k` of the red, green and blue value comes from bits `3k`, `3k+1` and `3k+2` of the id, so that
    neighboring ids get colors far apart and any number of classes has one.

    Args:
        n: number of colors, 1 to 256.

    Returns:
        uint8 array of shape `(n, 3)`, red, green, blue.

    Raises:
        ValueError: `n` is not an integer from 1 to 256.

    Example:

    >>> voc_palette(3).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]

    Source: the VOC development kit (`VOClabelcolormap`).
    """
    ids = np.arange(check_integer("n", n, low=1, high=256))
    colors = np.zeros((len(ids), 3), np.uint8)
    for bit in range(3):
        for channel in range(3):
            colors[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors


def file_palette(palette=None):
    """The 256 colors of a label map file.

    Args:
        palette: colors of the first ids, integers `(classes, 3)` from 0 to 255, or None.

    Returns:
        uint8 `(256, 3)`: those colors, followed by the colors of `voc_palette`, including those of 254 and
        255.

    Raises:
        ValueError: if `palette` does not hold colors.

    Example:

    >>> file_palette([[1, 2, 3]])[[0, 1, 255]].tolist()
    [[1, 2, 3], [128, 0, 0], [224, 224, 192]]
    """
    colors = voc_palette()
    if palette is not None:
        given = as_palette(palette)[: len(colors)]
        colors[: len(given)] = given
    return colors


def as_palette(palette, num_classes=MOST_CLASSES):
    """`palette` as a uint8 array `(colors, 3)`, or the default one if it is None."""
    if palette is None:
        return class_palette(num_classes)
    colors = np.asarray(palette)
    if colors.ndim != 2 or colors.shape[1] != 3 or colors.dtype.kind not in "iu" or not len(colors):
        raise ValueError(
            "`palette` must hold a red, green and blue of 0 to 255 for each class, shape (classes, 3). "
            f"Received: shape={colors.shape}, dtype={colors.dtype}"
        )
    if colors.min() < 0 or colors.max() > 255:
        raise ValueError(
            f"`palette` must hold values of 0 to 255. Received: {colors.min()} to {colors.max()}"
        )
    return colors.astype(np.uint8)


def _spread_color(i):
    # Steps of the golden ratio rarely come near an earlier hue; lightness cycles at another period.
    hue = i * _GOLDEN_RATIO % 1.0
    lightness = (0.5, 0.68, 0.38)[i % 3]
    return tuple(round(255 * x) for x in colorsys.hls_to_rgb(hue, lightness, 0.8))
