"""The common format of the images of a data set, found by reading every file once."""

import concurrent.futures
import filecmp
import logging
import math
import typing

import numpy as np

from keras_wsseg.arguments import check_value_range
from keras_wsseg.imaging.read_image import inspect_image, read_image
from keras_wsseg.imaging.value_fit import VALUE_RANGES

# 12 of 16 bits fill a sixteenth of the range; a dark scene that uses all 16 bits fills more.
_SMALL_PART = 1 / 4


class ImageFormat(typing.NamedTuple):
    """How images are read.

    Args:
        channels: 1 for gray, 3 for color.
        dtype: NumPy type of their values.
        value_range: lowest and highest value.

    Example:

    >>> ImageFormat(3, np.dtype("uint8"), (0, 255)).channels
    3
    """

    channels: int
    dtype: np.dtype
    value_range: tuple

    def read(self, path):
        """Reads an image file as `(height, width, channels)` within the range."""
        return read_image(path, self.channels, self.value_range)


def check_format(color_mode, value_range):
    """Validates the two arguments, or raises `ValueError`; returns the range as a pair or None."""
    if color_mode not in (None, "grayscale", "rgb"):
        raise ValueError(
            f'`color_mode` must be None, "grayscale" or "rgb". Received: color_mode={color_mode!r}'
        )
    return None if value_range is None else check_value_range(value_range)


def inspect_files(check, files):
    """Calls `check` for every file, in threads.

    Args:
        check: called with each of `files`; its first error stops all.
        files: a sequence.

    Returns:
        list of its results.
    """
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            return list(pool.map(check, files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def common_format(paths, images, color_mode, value_range):
    """The common format of all images.

    Args:
        paths: the files.
        images: the result of `inspect_image` for each.
        color_mode: `"grayscale"` or `"rgb"` to convert to, or None: gray if all images are, else rgb.
        value_range: lowest and highest value, to which 8 bits are scaled, or None for that of the integer
            type.

    Returns:
        an `ImageFormat`.

    Raises:
        ValueError: the types differ, or floating point images have no range.
    """
    dtype = images[0].dtype
    for path, image in zip(paths, images, strict=True):
        if image.dtype != dtype:
            raise ValueError(
                f"All images must have the {dtype} values of {str(paths[0])!r}. "
                f"Received: {image.dtype} in {str(path)!r}"
            )
    if value_range is None and dtype not in VALUE_RANGES:
        raise ValueError(
            f"`value_range` must be given for floating point images like {str(paths[0])!r}. "
            "Received: value_range=None"
        )
    if color_mode is None:
        color_mode = "rgb" if any(image.color for image in images) else "grayscale"
    if value_range is None:
        value_range = VALUE_RANGES[dtype]
    _warn_of_small_part(images, dtype, value_range)
    if dtype == "uint8" and tuple(value_range) != VALUE_RANGES[dtype]:
        dtype = "float32"
    return ImageFormat(3 if color_mode == "rgb" else 1, np.dtype(dtype), value_range)


def _warn_of_small_part(images, dtype, value_range):
    """Warns of images that fill little of their range, whose colors no kernel would distinguish."""
    if dtype == "uint8":
        return
    low, high = value_range
    darkest = min(image.extremes[0] for image in images)
    brightest = max(image.extremes[1] for image in images)
    if brightest - darkest > _SMALL_PART * (high - low):
        return
    if dtype == "uint16":
        least, most = 0, 2 ** max(8, brightest.bit_length()) - 1
    elif darkest < brightest:
        least, most = _round_outwards(darkest, brightest)
    else:
        least, most = "LOW", "HIGH"
    logging.getLogger("keras_wsseg").warning(
        "the images hold values from %g to %g, a small part of the value range of %g to %g: if that is their "
        "full range, set it (value_range=(%s, %s) in Python, --value-range=%s,%s on the command line), or "
        "losses and CRFs that compare colors see hardly any difference",
        *(darkest, brightest, low, high, least, most, least, most),
    )


def _round_outwards(low, high):
    """Rounds an interval outwards to limits of at most three digits."""
    digits = 2 - math.floor(math.log10(high - low))
    step = 10.0**digits
    ends = math.floor(low * step) / step, math.ceil(high * step) / step
    return tuple(f"{end:.{max(digits, 0)}f}" for end in ends)


def inspect_copies(copies, channels, value_range):
    """The format of all images; reads each once and validates that files of the same name are one image.

    Args:
        copies: dict from name to the paths of that name.
        channels, value_range: as in `common_format`.

    Returns:
        an `ImageFormat`.

    Raises:
        ValueError: a file is unreadable, or formats or files of the same name differ; the error names them.
    """
    paths = [path for files in copies.values() for path in files]
    images = inspect_files(lambda path: inspect_image(path, value_range), paths)
    for files in copies.values():
        for path in files[1:]:
            _check_same(files[0], path)
    return common_format(paths, images, channels, value_range)


def _check_same(one, other):
    if filecmp.cmp(one, other, shallow=False):
        return
    # The same pixels may have been written twice.
    first, second = read_image(one), read_image(other)
    if not np.array_equal(first, second):
        raise ValueError(
            "Files of the same name in several folders must be the same image. "
            f"Received: {str(one)!r} of {first.shape[1]}x{first.shape[0]} and {str(other)!r} of "
            f"{second.shape[1]}x{second.shape[0]}, whose pixels differ"
        )
