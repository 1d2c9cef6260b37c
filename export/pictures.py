"""Brings whatever a caller has as a picture into the shape that a graph takes, or says why it cannot."""

import os
import pathlib
import warnings

import numpy as np


def read_picture(path, channels=None, value_range=None):
    """Reads a picture file as it is seen; 16 bits stay 16 bits.

    A photograph that its camera marks as turned is turned, so that a mask fits what viewers show. Palettes
    and inks (CMYK) become RGB.

    Args:
        path: file that Pillow reads; the first picture of one that holds previews beside it (MPO).
        channels: 1 or 3 for what a segmenter takes; any other number, or None, leaves grey files grey.
        value_range: `(low, high)` that a segmenter takes, see `in_range`; None leaves values as they are.

    Returns:
        `(height, width)` array for grey, `(height, width, 3)` for colour.

    Raises:
        ImportError: if Pillow is not installed.
        FileNotFoundError: if there is no such file.
        ValueError: if it is no whole picture, holds several, or has transparent pixels.
    """
    path = pathlib.Path(path)
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(
            "Reading a picture from a path needs Pillow: `pip install pillow`, or pass an array. "
            f"Received: image={str(path)!r}"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(f"`image` must be an existing file. Received: image={str(path)!r}")
    try:
        with Image.open(path) as picture:
            several = has_several_frames(picture)
            if not several:
                picture.load()
                upright = ImageOps.exif_transpose(picture)
    # Decoders raise what they like over a broken file, a TypeError for one.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"`image` must be a readable picture. Received: image={str(path)!r}: {reason}"
        ) from error
    if several:
        raise ValueError(f"`image` must hold one picture. Received: image={str(path)!r} with several")
    if has_transparent_pixels(upright):
        raise ValueError(
            f"`image` must be opaque: paste it onto a background first. Received: image={str(path)!r} with "
            "transparent pixels"
        )
    array = as_grey_or_rgb(upright, channels)
    return array if value_range is None else in_range(array, value_range)


def in_range(array, value_range):
    """Pixels of 8 bits at the same share of a segmenter's range; of any other depth as they are.

    Args:
        array: what `as_grey_or_rgb` gave.
        value_range: `(low, high)` that the segmenter takes.

    Returns:
        Array of the same shape, float32 where it was scaled.
    """
    low, high = value_range
    if array.dtype != np.uint8 or (low, high) == (0, 255):
        return array
    return (low + (high - low) / 255 * np.arange(256)).astype(np.float32)[array]


def has_several_frames(picture):
    """Whether a file holds an animation or several pages.

    Args:
        picture: Pillow's image, before it is loaded; it stays at its first frame.

    Returns:
        bool; False for photographs with previews behind them (MPO).
    """
    if picture.format == "MPO":
        return False
    try:
        # Counting frames would walk through all of a file, of which there may be a million.
        picture.seek(1)
    except EOFError:
        return False
    picture.seek(0)
    return True


def has_transparent_pixels(picture):
    """Whether a mask of a picture would cover pixels that nobody sees.

    Args:
        picture: Pillow's image.

    Returns:
        bool.
    """
    return picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255


def as_grey_or_rgb(picture, channels=None):
    """The pixels of a picture, brought to the channels that a segmenter takes; 16 bits stay 16 bits.

    Args:
        picture: Pillow's image, upright.
        channels: 1 or 3; any other number, or None, leaves grey pictures grey.

    Returns:
        `(height, width)` array for grey, `(height, width, 3)` for colour.
    """
    if picture.mode.startswith(("I", "F")):
        array = np.asarray(picture)
    else:
        grey = channels == 1 or picture.mode in ("1", "L", "LA")
        array = np.asarray(picture.convert("L" if grey else "RGB"))
    return np.repeat(array[..., None], 3, -1) if channels == 3 and array.ndim == 2 else array


def to_batch(image, channels, value_range, dtype=np.float32):
    """Checks one picture or a batch of equal size and gives it rank 4.

    Args:
        image: path; array `(height, width)` of grey, `(height, width, channels)`, or
            `(batch, height, width, channels)`.
        channels: that the graph takes.
        value_range: `(low, high)` that the graph takes.
        dtype: that the graph takes, float32 or uint8.

    Returns:
        `(batch, is_batch)`: `(batch, height, width, channels)` in the array's own dtype, which `dtype` holds
        without loss, and whether a batch came in.

    Raises:
        TypeError: if it is no array of numbers.
        ValueError: if shape, channels or values do not fit.
    """
    if isinstance(image, str | os.PathLike):
        image = read_picture(image, channels, value_range)
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
    # NaN compares as False, so it does not pass.
    slack = 0 if dtype == np.uint8 else 1e-6 * (high - low)
    if not (darkest >= low - slack and brightest <= high + slack):
        raise ValueError(
            f"`image` must have values between {low:g} and {high:g} for this segmenter. "
            f"Received: values from {darkest:g} to {brightest:g}"
        )
    floats = array.dtype.kind == "f"
    if floats and dtype == np.uint8 and not np.array_equal(array, np.rint(array)):
        raise ValueError(
            "`image` must have whole values for this segmenter, which takes uint8. "
            f"Received: dtype={array.dtype} with fractions, values from {darkest:g} to {brightest:g}"
        )
    if floats and low == 0 and high >= 255 and 0 < brightest <= 1:
        warnings.warn(
            f"The picture's values reach {brightest:g} only, and this segmenter takes 0 to {high:g}: was it "
            "scaled to [0, 1]?",
            stacklevel=6,
        )


def _kind(channels):
    return {1: "grey (1 channel)", 3: "RGB (3 channels)"}.get(channels, f"of {channels} channels")
