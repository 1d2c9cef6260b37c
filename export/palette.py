"""Colours for class maps."""

import numpy as np


def default_palette(classes):
    """The colour map of the Pascal VOC challenge, which most tools that show class maps use.

    The three lowest bits of a class number go to the highest bits of red, green and blue, the next three to
    the bits below, and so on: neighbouring classes get colours that are told apart, and class 0 is black.

    Args:
        classes: number of colours, 1 to 256.

    Returns:
        `(classes, 3)` uint8 array of red, green, blue.

    Raises:
        ValueError: if `classes` is outside 1 to 256.

    Example:

    >>> default_palette(3).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    if not 1 <= classes <= 256:
        raise ValueError(f"`classes` must be 1 to 256. Received: classes={classes}")
    numbers = np.arange(classes)
    colours = np.zeros((classes, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.astype(np.uint8)
