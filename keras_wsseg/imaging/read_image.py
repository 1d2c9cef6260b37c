"""Reads images from files."""

import contextlib
import dataclasses
import pathlib

import numpy as np

from keras_wsseg.imaging.decoding import as_channels, check_single, decode, open_image
from keras_wsseg.imaging.image_error import ImageError
from keras_wsseg.imaging.numpy_file import read_numpy
from keras_wsseg.imaging.value_fit import fit_values


def read_image(path, channels=None, value_range=None):
    """Reads an image file as displayed, in its own bit depth.

    The EXIF orientation is applied, so that a mask fits what viewers show. Palettes and CMYK are converted to
    RGB, and a fully opaque alpha channel is dropped. Files of any size are read.

    Args:
        path: file that Pillow reads; with imagecodecs PNG, TIFF and JPEG 2000 with 16-bit color, and any gray
            or RGB TIFF with 8 or 16 bits per channel or floating point; or a NumPy file (.npy) of `(height,
            width)` or `(height, width, 1 or 3)`.
        channels: 1 or 3 to convert to; any other number, or None, leaves gray files gray.
        value_range: `(low, high)` that a segmenter takes: 8 bits are scaled to it, deeper values must be
            within it; None leaves values as they are.

    Returns:
        `(height, width, 1)` for gray, `(height, width, 3)` for color: uint8, uint16 or float32.

    Raises:
        ImportError: if Pillow, or imagecodecs where it is needed, is not installed.
        FileNotFoundError: if there is no such file.
        ImageError: a `ValueError`: if it is not a complete image, contains several or further channels, has
            transparent pixels, or values beyond the range; the error names the file.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.npy")
    >>> np.save(path, np.zeros((4, 6), np.uint8))
    >>> read_image(path, channels=3).shape
    (4, 6, 3)
    """
    with _named(path) as path:
        array = as_channels(_pixels(path), channels)
        return array if value_range is None else fit_values(array, value_range)


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """The properties of an image file.

    Args:
        size: `(height, width)`.
        color: whether it has three channels.
        dtype: name of the NumPy type of its unchanged values.
        extremes: lowest and highest value; for 8 bits those of the type.

    Example:

    >>> ImageInfo(size=(4, 6), color=True, dtype="uint8", extremes=(0, 255)).size
    (4, 6)
    """

    size: tuple
    color: bool
    dtype: str
    extremes: tuple


def inspect_image(path, value_range=None):
    """Decodes an image file once, to find errors before training.

    Args:
        path, value_range: as in `read_image`.

    Returns:
        an `ImageInfo`.

    Raises:
        FileNotFoundError, ImageError: as in `read_image`.
    """
    with _named(path) as path:
        info = _shrunk_jpeg(path)
        if info is not None:
            return info
        array = _pixels(path)
        if value_range is not None:
            fit_values(array, value_range)
    eight_bits = array.dtype == np.uint8
    extremes = (0, 255) if eight_bits else (array.min().item(), array.max().item())
    return ImageInfo(array.shape[:2], array.shape[-1] == 3, array.dtype.name, extremes)


@contextlib.contextmanager
def _named(path):
    """Adds the file name to errors."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"An image must be an existing file. Received: {str(path)!r}")
    try:
        yield path
    except ImageError as error:
        raise ImageError(error.reason, path) from error


def _pixels(path):
    if path.suffix.lower() == ".npy":
        return _from_numpy(path)
    with path.open("rb") as stream, open_image(stream) as image:
        check_single(image)
        return decode(image)


def _from_numpy(path):
    kinds = "uint8, uint16 or floating point"
    array = read_numpy(path, "uf", kinds)
    if array.shape[-1] not in (1, 3):
        raise ImageError(
            f"must have shape (height, width) or (height, width, 1 or 3). Received: shape {array.shape}"
        )
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"must be a NumPy file of {kinds}. Received: {array.dtype}")
    return array


def _shrunk_jpeg(path):
    """The properties of a JPEG, decoded at 1/8 of its size, which still reads the whole file; else None."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".jfif"):
        return None
    with path.open("rb") as stream, open_image(stream) as image:
        if image.format != "JPEG" or image.mode not in ("L", "RGB"):
            return None
        sideways = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        size = image.size if sideways else image.size[::-1]
        image.draft(image.mode, (max(1, image.width // 8), max(1, image.height // 8)))
        decode(image)
        return ImageInfo(size, image.mode == "RGB", "uint8", (0, 255))
