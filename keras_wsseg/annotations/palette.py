"""The colours in which label maps are shown."""

import numpy as np


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
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= 256:
        raise ValueError(f"`n` must be an integer from 1 to 256. Received: n={n!r}")
    ids = np.arange(n)
    colours = np.zeros((n, 3), np.uint8)
    for bit in range(3):
        for channel in range(3):
            colours[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours
