"""Converts images to the shape that a graph takes, and validates them."""

import os
import warnings

import numpy as np

from keras_wsseg.imaging.read_image import read_image


def to_batch(image, channels, value_range, dtype=np.float32):
    """Validates one image or a batch of equal size and returns it with rank 4.

    Args:
        image: path; array `(height, width)` of gray, `(height, width, channels)`, or
            `(batch, height, width, channels)`.
        channels: number of channels that the graph takes.
        value_range: `(low, high)` that the graph takes.
        dtype: type that the graph takes, float32 or uint8.

    Returns:
        `(batch, is_batch)`: `(batch, height, width, channels)` in the array's own dtype, which converts to
            `dtype` without loss, and whether `image` is a batch.

    Raises:
        TypeError: if it is not an array of numbers.
        ValueError: if shape, channels or values do not fit.
    """
    if isinstance(image, str | os.PathLike):
        image = read_image(image, channels, value_range)
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise TypeError(f"`image` must be a path or an array of real numbers. Received: dtype={array.dtype}")
    if array.ndim not in (2, 3, 4):
        raise ValueError(
            "`image` must have shape (height, width), (height, width, channels) or "
            f"(batch, height, width, channels). Received: shape={array.shape}"
        )
    if array.size == 0:
        raise ValueError(f"`image` must have at least one pixel. Received: shape={array.shape}")
    received = array.shape[-1] if array.ndim > 2 else 1
    if received != channels:
        raise ValueError(
            f"`image` must be {_kind(channels)} for this segmenter: it is never converted silently. "
            f"Received: {_kind(received)}, shape={array.shape}"
        )
    _check_values(array, value_range, dtype)
    is_batch = array.ndim == 4
    if array.ndim == 2:
        array = array[..., None]
    return array if is_batch else array[None], is_batch


def _check_values(array, value_range, dtype):
    low, high = value_range
    darkest, brightest = float(array.min()), float(array.max())
    # NaN compares as False, so it is rejected.
    slack = 0 if dtype == np.uint8 else 1e-6 * (high - low)
    if not (darkest >= low - slack and brightest <= high + slack):
        raise ValueError(
            f"`image` must have values between {low:g} and {high:g} for this segmenter. "
            f"Received: values from {darkest:g} to {brightest:g}"
        )
    floats = array.dtype.kind == "f"
    if floats and dtype == np.uint8 and not np.array_equal(array, np.rint(array)):
        raise ValueError(
            "`image` must have integer values for this segmenter, which takes uint8. "
            f"Received: dtype={array.dtype} with fractions, values from {darkest:g} to {brightest:g}"
        )
    if floats and low == 0 and high >= 255 and 0 < brightest <= 1:
        warnings.warn(
            f"The image's largest value is {brightest:g}, but this segmenter takes 0 to {high:g}: was it "
            "scaled to [0, 1]?",
            stacklevel=6,
        )


def _kind(channels):
    return {1: "gray (1 channel)", 3: "RGB (3 channels)"}.get(channels, f"of {channels} channels")
