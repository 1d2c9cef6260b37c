"""Converts images of any depth to 8-bit color."""

import numpy as np

from keras_wsseg.arguments import check_value_range

# Rounding may take a resized image beyond its range; by more than this fraction, the range is wrong.
_TOLERANCE = 1e-3


def rgb_image(image, value_range=(0, 255)):
    """Converts an image of any depth to 8-bit color for display.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, integers or floats within
            `value_range`.
        value_range: the values of black and of white, such as `(0, 65535)` for sixteen bits.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: if the shape is none of these, the range is empty, or a value is outside the range.

    Example:

    >>> rgb_image(np.array([[0.0, 0.5, 1.0]]), value_range=(0, 1))[0, :, 0].tolist()
    [0, 128, 255]
    """
    low, high = check_value_range(value_range)
    image = checked_image(image)
    if image.dtype == np.uint8 and (low, high) == (0, 255):
        painted = image
    else:
        painted = np.rint(255 * unit_values(image, value_range)).astype(np.uint8)
    return np.array(np.broadcast_to(painted, (*painted.shape[:2], 3)))


def unit_values(image, value_range):
    """`image` scaled to float32 in [0, 1], black to white."""
    low, high = check_value_range(value_range)
    values = (np.asarray(image).astype(np.float32) - low) / np.float32(high - low)
    # The comparison is negated so that NaN fails it too.
    if values.size and not (values.min() >= -_TOLERANCE and values.max() <= 1 + _TOLERANCE):
        raise ValueError(
            f"`image` must lie within value_range=({low:g}, {high:g}). "
            f"Received: values from {np.min(image):g} to {np.max(image):g}"
        )
    return np.clip(values, 0.0, 1.0)


def checked_image(image):
    """`image` as an array `(height, width, 1 or 3)`."""
    array = np.asarray(image)
    shaped = array[..., None] if array.ndim == 2 else array
    if shaped.ndim != 3 or shaped.shape[-1] not in (1, 3) or not shaped.size:
        raise ValueError(
            "`image` must have shape (height, width), (height, width, 1) or (height, width, 3). "
            f"Received: shape={array.shape}"
        )
    return shaped
