"""From the values of a picture file to those that a segmenter takes."""

import numpy as np

from keras_wsseg.export.pictures import in_range
from keras_wsseg.serving.refusal import Refusal

HIGHEST_OF_8_BITS = 255


def fit_values(array, value_range):
    """Scales 8 bits to the segmenter's range; deeper pictures are taken as they are.

    Args:
        array: pixels as `decode_picture` gives them.
        value_range: `(low, high)` that the segmenter takes.

    Returns:
        array of the same shape, within `value_range`.

    Raises:
        Refusal: 422 if the picture has more bits than the segmenter has use for, or values beyond its range.

    Example:

    >>> fit_values(np.array([[0, 51, 255]], np.uint8), (0.0, 1.0)).tolist()
    [[0.0, 0.20000000298023224, 1.0]]
    """
    if array.dtype == np.uint8:
        return in_range(array, value_range)
    low, high = value_range
    if array.dtype.kind != "f" and high <= HIGHEST_OF_8_BITS:
        raise Refusal(
            422,
            "The picture must have 8 bits for each channel, since this segmenter takes values up to "
            f"{high:g}. Received: {8 * array.dtype.itemsize} bits",
        )
    darkest, brightest = float(array.min()), float(array.max())
    # NaN compares as False, so it does not pass.
    if not (low <= darkest and brightest <= high):
        raise Refusal(
            422,
            f"The picture must have values from {low:g} to {high:g}, since it has more than 8 bits for each "
            f"channel. Received: values from {darkest:g} to {brightest:g}",
        )
    return array
