"""Converts the values of an image file to those that a segmenter takes."""

import numpy as np

from keras_wsseg.imaging.image_error import ImageError

VALUE_RANGES = {"uint8": (0, 255), "uint16": (0, 65535)}
"""The values that an image of an integer type may have."""


def fit_values(array, value_range):
    """Scales 8-bit images linearly to a range; deeper images are kept as they are.

    Args:
        array: pixels, uint8, uint16 or float32.
        value_range: `(low, high)` that the segmenter takes.

    Returns:
        array of the same shape, within `value_range`, float32 if it was scaled.

    Raises:
        ImageError: if an image of more than 8 bits has values beyond the range.

    Example:

    >>> fit_values(np.array([[0, 51, 255]], np.uint8), (0.0, 5.0)).tolist()
    [[0.0, 1.0, 5.0]]
    """
    low, high = value_range
    if array.dtype == np.uint8:
        if (low, high) == (0, 255):
            return array
        return (low + (high - low) / 255 * np.arange(256)).astype(np.float32)[array]
    darkest, brightest = float(array.min()), float(array.max())
    # The pixels are float32, so the limits are rounded to float32. NaN compares as False.
    if not (np.float32(low) <= darkest and brightest <= np.float32(high)):
        raise ImageError(
            f"must have values from {low:g} to {high:g}, since it has more than 8 bits per channel. "
            f"Received: values from {darkest:g} to {brightest:g}"
        )
    return array
