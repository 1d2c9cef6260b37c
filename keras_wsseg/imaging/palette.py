"""The colours of classes: over pictures, and in the files of label maps."""

import colorsys

import numpy as np

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.labels import MOST_CLASSES

# Class 0 is the background more often than not: grey, which shows on black and on white pictures alike and
# leaves the colours to the things.
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
    """Colours that stand out from a picture under them and from each other.

    The colours of PASCAL VOC, with a black background and dark hues, vanish on a dark picture such as an MRI.

    Args:
        num_classes: number of colours, 1 to 254.

    Returns:
        uint8 `(num_classes, 3)`, red, green, blue; class 0 is grey.

    Raises:
        ValueError: if `num_classes` is not within 1 to 254.

    Example:

    >>> class_palette(2).tolist()
    [[150, 150, 158], [230, 57, 70]]
    """
    check_integer("num_classes", num_classes, low=1, high=MOST_CLASSES)
    more = [_spread_colour(i) for i in range(num_classes - len(_FIRST))]
    return np.array([*_FIRST, *more][:num_classes], dtype=np.uint8)


def voc_palette(n=256):
    """Colours of the PASCAL VOC palette, which most tools expect in label PNGs.

    Bit `k` of the red, green and blue value comes from bits `3k`, `3k+1` and `3k+2` of the id, so that
    neighbouring ids get colours far apart and any number of classes has one.

    Args:
        n: number of colours, 1 to 256.

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
    colours = np.zeros((len(ids), 3), np.uint8)
    for bit in range(3):
        for channel in range(3):
            colours[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def file_palette(palette=None):
    """The 256 colours in which a file of ids is shown.

    Args:
        palette: colours of the first ids, integers `(classes, 3)` from 0 to 255, or None.

    Returns:
        uint8 `(256, 3)`: those colours, and behind them, those of 254 and 255 included, the colours of
        `voc_palette`.

    Raises:
        ValueError: if `palette` holds no colours.

    Example:

    >>> file_palette([[1, 2, 3]])[[0, 1, 255]].tolist()
    [[1, 2, 3], [128, 0, 0], [224, 224, 192]]
    """
    colours = voc_palette()
    if palette is not None:
        given = as_palette(palette)[: len(colours)]
        colours[: len(given)] = given
    return colours


def as_palette(palette, num_classes=MOST_CLASSES):
    """`palette` as a uint8 array `(colours, 3)`, or the default one where it is None."""
    if palette is None:
        return class_palette(num_classes)
    colours = np.asarray(palette)
    if colours.ndim != 2 or colours.shape[1] != 3 or colours.dtype.kind not in "iu" or not len(colours):
        raise ValueError(
            "`palette` must hold a red, green and blue of 0 to 255 for each class, shape (classes, 3). "
            f"Received: shape={colours.shape}, dtype={colours.dtype}"
        )
    if colours.min() < 0 or colours.max() > 255:
        raise ValueError(
            f"`palette` must hold values of 0 to 255. Received: {colours.min()} to {colours.max()}"
        )
    return colours.astype(np.uint8)


def _spread_colour(i):
    # Steps of the golden ratio never come near an earlier hue for long; lightness cycles out of step.
    hue = i * _GOLDEN_RATIO % 1.0
    lightness = (0.5, 0.68, 0.38)[i % 3]
    return tuple(round(255 * x) for x in colorsys.hls_to_rgb(hue, lightness, 0.8))
