"""Photographs and scans as arrays, in their own bit depth."""

import dataclasses

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base as Tag

_GREY_8 = ("1", "L", "LA")
_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a picture file holds.

    Args:
        size: `(height, width)`.
        colour: whether it has more than one channel.
        dtype: name of the NumPy type that holds its values unchanged.

    Example:

    >>> Picture(size=(4, 6), colour=True, dtype="uint8").size
    (4, 6)
    """

    size: tuple
    colour: bool
    dtype: str


def inspect_picture(path, value_range=None):
    """Decode a picture once, to find damage before a training does.

    Args:
        path: the file.
        value_range: None, or the range in which all its values must lie.

    Returns:
        a `Picture`.

    Raises:
        ValueError: damaged, not a picture, or outside the range; the error names the file.
    """
    try:
        with Image.open(path) as image:
            size, mode = _upright_size(image), image.mode
            if value_range is None and mode in ("L", "RGB"):
                # JPEG decodes faster at an eighth of the size, and still reads the whole file.
                image.draft(mode, (image.width // 8, image.height // 8))
            image.load()
            array = None if value_range is None and mode not in _GREY_16 else _array(image, False)
    except _UNREADABLE as error:
        raise ValueError(f"The picture {str(path)!r} cannot be read. Received: {error}") from error
    if mode == "I" and not 0 <= array.min() <= array.max() <= 65535:
        raise ValueError(
            f"The picture {str(path)!r} must have at most 16 bits a pixel. "
            f"Received: values from {array.min()} to {array.max()}"
        )
    if value_range is not None and not (array.min() >= value_range[0] and array.max() <= value_range[1]):
        raise ValueError(
            f"The picture {str(path)!r} must lie within `value_range` ({value_range[0]:g}, "
            f"{value_range[1]:g}). Received: values from {array.min():g} to {array.max():g}"
        )
    dtype = "uint16" if mode in _GREY_16 else "float32" if mode == "F" else "uint8"
    return Picture(size, mode not in (*_GREY_8, *_GREY_16, "F"), dtype)


def read_picture(path, channels=None):
    """Read a picture in its own bit depth, turned as its camera says and viewers show it.

    Args:
        path: PNG, JPEG, BMP or TIFF; grey of 8 or 16 bits or floating point, or colour of 8 bits.
        channels: `"grey"` or `"rgb"` to convert to it; by default as it is.

    Returns:
        `(height, width, channels)`: uint8, uint16 or float32, 1 or 3 channels; transparency is dropped.

    Raises:
        ValueError: it cannot be read; the error names the file.
    """
    try:
        with Image.open(path) as image:
            deep = image.mode in _GREY_16 or image.mode == "F"
            image = ImageOps.exif_transpose(image)
            if channels == "grey" and not deep:
                image = image.convert("L")
            array = _array(image, channels == "rgb")
    except _UNREADABLE as error:
        raise ValueError(f"The picture {str(path)!r} cannot be read. Received: {error}") from error
    return array.astype(np.uint16) if deep and array.dtype.kind == "i" else array


def _upright_size(image):
    """`(height, width)` of a picture once it is turned as its camera says."""
    lies = image.getexif().get(Tag.Orientation, 1) in (5, 6, 7, 8)
    return image.size if lies else image.size[::-1]


def _array(image, colour):
    if image.mode in _GREY_8:
        image = image.convert("L")
    elif image.mode not in (*_GREY_16, "F"):
        image = image.convert("RGB")
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3 if colour else 1, axis=2)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
