"""Decodes opened image files to pixels, with the same rules for all callers."""

import contextlib
import re
import threading

import numpy as np

from keras_wsseg.imaging.fallback_tiff import FallbackTiff, fallback_tiff
from keras_wsseg.imaging.image_error import ImageError, UnknownImageError

_ORIENTATION, _ROWS, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANES = 0x0112, 257, 258, 262, 277, 284
_DEEP_GRAY = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GRAY = ("1", "L", "LA", "La", *_DEEP_GRAY, "F")
# Gray of few bits, which Pillow scales to 0 to 255: its bits, and Pillow's factor.
_SPREAD = {"L;2": (2, 85), "L;4": (4, 17)}
# The marker at the start of a JPEG 2000 codestream.
_SIZ = b"\xff\x4f\xff\x51"
# Rows converted at once, so that a large image does not need many times its memory.
_BAND = 1024
_LIMIT = threading.Lock()


def open_image(source, formats=None):
    """Reads the header of an image file, whatever its size.

    Args:
        source: binary stream. Not a path: Pillow memory-maps some files given by path, and then decodes gray
            TIFFs with rotated orientation as noise.
        formats: names of Pillow's formats to try; by default all.

    Returns:
        Pillow's image, not decoded, or a `FallbackTiff`.

    Raises:
        ImportError: if Pillow is not installed.
        ImageError: if it is not an image, or an unsupported TIFF.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Image files need Pillow: `pip install pillow`, or pass an array. Received: a file"
        ) from error
    try:
        with _any_size():
            return Image.open(source, formats=formats)
    # Decoders may raise anything for a broken file, even a TypeError.
    except Exception as error:
        reason = unreadable(error)
        tiff = isinstance(reason, UnknownImageError) and (formats is None or "TIFF" in formats)
        image = fallback_tiff(source) if tiff else None
        if image is None:
            raise reason from error
        return image


def check_single(image):
    """Raises `ImageError` if a file contains an animation, several pages or channels beyond color and alpha.

    Args:
        image: the result of `open_image`, left at its first frame. Previews after a photograph (MPO) are not
            pages.
    """
    with _decoding():
        several = image.format != "MPO" and _has_second_frame(image)
    if several:
        raise ImageError("must be one: split animations, stacks and pages. Received: several")
    channels = getattr(image, "tag_v2", {}).get(_SAMPLES, 0)
    if image.mode == "RGBX" or channels > len(image.getbands()):
        raise ImageError(
            "must have one gray or three color channels, and at most one alpha channel besides. "
            f"Received: {channels or 4} channels"
        )


def decode(image):
    """The pixels of an image file, as displayed.

    Args:
        image: the result of `open_image`, validated by `check_single`.

    Returns:
        `(height, width, 1)` of gray or `(height, width, 3)` of color: uint8, uint16 if the file has more than
        8 bits per channel, float32 if it has floating point. The EXIF orientation is applied, palettes and
        CMYK are converted to RGB, alpha is dropped.

    Raises:
        ImportError: if imagecodecs is missing, and the image has 16-bit color or is a `FallbackTiff`.
        ImageError: if it is damaged, has transparent pixels or values beyond 16 bits.
    """
    if _is_deep_color(image):
        return _decode_deep_color(image)
    key = _gray_key(image)
    with _decoding():
        load(image)
        if key is not None:
            _check_opaque(np.asarray(image) != key, True)
        elif image.has_transparency_data:
            _check_opaque(np.asarray(image.convert("RGBA").getchannel("A")), 255)
        if image.mode in (*_DEEP_GRAY, "F"):
            array = np.asarray(image)
        else:
            array = _eight_bits(image)
    if array.dtype.kind == "i":
        if not 0 <= array.min() <= array.max() <= 65535:
            raise ImageError(
                f"must have at most 16 bits per pixel. Received: values from {array.min()} to {array.max()}"
            )
        array = array.astype(np.uint16)
    array = _with_channels(array)
    # Up to 8 bits Pillow inverts black and white itself.
    return 65535 - array if array.dtype == np.uint16 and _white_is_zero(image) else array


def load(image):
    """Has Pillow decode an image file of any size, and apply its orientation tag.

    Args:
        image: the result of `open_image`.

    Raises:
        Exception: whatever a decoder raises for a damaged file.
    """
    from PIL import ImageOps

    if image.format == "TIFF":
        # Pillow leaves rows without a strip black, even if a damaged header claims an image of gigabytes.
        rows, covered = image.tag_v2[_ROWS], max((tile[1][3] for tile in image.tile), default=0)
        if covered < rows:
            raise OSError(f"{covered} of {rows} rows")
        # For TIFFs Pillow checks the size once more before it allocates memory.
        with _any_size():
            image.load_prepare()
    image.load()
    # In place, since a copy of a large image doubles the memory.
    ImageOps.exif_transpose(image, in_place=True)


def as_channels(array, channels):
    """Converts pixels to the channels that a segmenter takes.

    Args:
        array: `(height, width, 1 or 3)`, as returned by `decode`.
        channels: 1 or 3; any other number, or None, leaves them as they are.

    Returns:
        `(height, width, channels)` of the same type: gray repeated, or the luma of color (ITU-R 601).
    """
    if channels == 3 and array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    if channels == 1 and array.shape[-1] == 3:
        return _luma(array)
    return array


def stored_gray(image):
    """How a file that is not yet decoded stores gray.

    Args:
        image: the result of `open_image`.

    Returns:
        `(bits, factor, swapped)`: bits per pixel if fewer than 8, else None; the factor by which Pillow
            multiplies them; and whether it inverts black and white, since white is zero in the TIFF.
    """
    kind, _, how = _raw_mode(image).partition(";")
    depth = how.rstrip("IR")
    return *_SPREAD.get(f"{kind};{depth}", (None, 1)), image.format == "TIFF" and "I" in how


def unreadable(error):
    """The `ImageError` for a decoder's error, in one line."""
    if type(error).__name__ == "UnidentifiedImageError":
        return UnknownImageError("must be an image file. Received: a file that no decoder recognizes")
    return ImageError(
        f"must be a whole file. Received: {' '.join(str(error).split()) or type(error).__name__}"
    )


@contextlib.contextmanager
def _any_size():
    from PIL import Image

    # Pillow's limit is global to the process, and meant for untrusted files.
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _decoding():
    try:
        yield
    except (ImageError, MemoryError, ImportError):
        raise
    except Exception as error:
        raise unreadable(error) from error


def _has_second_frame(image):
    try:
        # Counting frames, of which there may be a million, would read the whole file.
        image.seek(1)
    except EOFError:
        return False
    return True


def _raw_mode(image):
    args = image.tile[0].args if image.tile else ""
    return args if isinstance(args, str) else str(args[0]) if args else ""


def _white_is_zero(image):
    return getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def _gray_key(image):
    """The value that means transparent in a gray PNG, as decoded by Pillow, or None.

    Pillow itself compares it with scaled values, and ignores it for 16 bits.
    """
    key = image.info.get("transparency")
    if image.format != "PNG" or image.mode not in ("L", "I;16") or not isinstance(key, int):
        return None
    bits, factor, _ = stored_gray(image)
    # By the standard, decoders ignore the bits beyond those of a pixel.
    return (key & (1 << (bits or (8 if image.mode == "L" else 16))) - 1) * factor


def _check_opaque(opacity, opaque):
    if opacity.size and opacity.min() < opaque:
        raise ImageError("must be opaque: flatten it onto a background first. Received: transparent pixels")


def _eight_bits(image):
    """The pixels of an image that Pillow converts to 8 bits, without holding three copies."""
    mode = "L" if image.mode in _GRAY else "RGB"
    array = np.empty((image.height, image.width, len(mode)), np.uint8)
    for first in range(0, image.height, _BAND):
        last = min(first + _BAND, image.height)
        if image.height <= _BAND:
            band = image
        else:
            # Pillow applies its size limit to crops too.
            with _any_size():
                band = image.crop((0, first, image.width, last))
        array[first:last] = _with_channels(np.asarray(band.convert(mode)))
    return array


def _is_deep_color(image):
    """Whether it has 16-bit color, or 16-bit gray with alpha, which Pillow truncates to 8 or cannot read."""
    if isinstance(image, FallbackTiff):
        return True
    if image.format == "PNG":
        return any(str(tile.args).endswith(";16B") for tile in image.tile) and image.mode != "I;16"
    if image.format == "JPEG2000":
        with _decoding():
            return image.mode not in ("L", "I;16") and max(_jpeg2000_bits(_content(image))) > 8
    args = image.tile[0].args if image.tile else ()
    if image.format == "PPM":
        return image.mode != "I" and isinstance(args, tuple) and args[1] > 255
    if image.format == "SGI":
        return image.tile[0][0] == "SGI16" or args[-1] == 2
    bits = getattr(image, "tag_v2", {}).get(_BITS, ())
    return len(bits) > 1 and max(bits) > 8


def _content(image):
    image.fp.seek(0)
    return image.fp.read()


def _jpeg2000_bits(data):
    """The bits of each channel."""
    count = data.index(_SIZ) + 40
    first, end = count + 2, count + 2 + 3 * int.from_bytes(data[count : count + 2], "big")
    return [(bits & 0x7F) + 1 for bits in data[first:end:3]]


def _decode_jpeg2000(data):
    from imagecodecs import jpeg2k_decode

    spaces = [
        int.from_bytes(space, "big")
        for space in re.findall(rb"colr\x01..(....)", data[: data.index(_SIZ)], re.S)
    ]
    bits = set(_jpeg2000_bits(data))
    if not set(spaces) <= {16, 17} or len(bits) > 1:
        raise ImageError(
            "must have sRGB or gray of one depth where a JPEG 2000 has more than 8 bits. "
            f"Received: {sorted(bits)} bits, color spaces {spaces}"
        )
    array, shift = jpeg2k_decode(data), 16 - bits.pop()
    if array.dtype != np.uint16:
        return array
    # As Pillow scales gray from 12 bits to 16, which leaves opaque alpha below 65535.
    array = array << shift
    if array.ndim == 3 and array.shape[-1] in (2, 4):
        array[..., -1] |= (1 << shift) - 1
    return array


def _decode_deep_color(image):
    if image.format in ("PPM", "SGI"):
        raise ImageError(
            "must be a PNG, TIFF or JPEG 2000 to have more than 8 bits per color channel. "
            f"Received: {image.format}"
        )
    try:
        import imagecodecs
    except ImportError as error:
        what = (
            "TIFFs that Pillow cannot read"
            if isinstance(image, FallbackTiff)
            else "Images with 16 bits of color"
        )
        raise ImportError(f"{what} need imagecodecs: `pip install imagecodecs`. Received: one") from error
    if image.mode == "CMYK":
        raise ImageError("must have 8 bits per channel in CMYK. Received: 16")
    with _decoding():
        data = _content(image)
        # For a PNG this may decode the image, which closes the file.
        turned = image.getexif().get(_ORIENTATION, 1)
        decoders = {"PNG": imagecodecs.png_decode, "JPEG2000": _decode_jpeg2000}
        array = decoders.get(image.format, imagecodecs.tiff_decode)(data)
    if getattr(image, "tag_v2", {}).get(_PLANES) == 2 and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    array = _with_channels(array)
    if not (array.dtype in (np.uint8, np.uint16) or array.dtype.kind == "f") or (
        sorted(array.shape[:2]) != sorted(image.size)
    ):
        raise ImageError(f"must have 8 or 16 bits per channel. Received: {array.dtype} of {array.shape}")
    array = array.astype(np.float32) if array.dtype.kind == "f" else array
    most = 1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    if array.shape[-1] in (2, 4):
        _check_opaque(array[..., -1], most)
        array = array[..., :-1]
    elif "transparency" in image.info:
        _check_opaque(np.any(array != image.info["transparency"], axis=-1), True)
    if _white_is_zero(image) and array.dtype.kind == "u":
        array = most - array
    return np.ascontiguousarray(_turned(array, turned))


def _turned(array, orientation):
    """Applies an EXIF orientation to pixels; invalid ones are ignored."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(
        orientation, (1, 1)
    )
    return array[::rows, ::columns]


def _with_channels(array):
    array = array if array.ndim == 3 else array[..., None]
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _luma(array):
    """Rec. 601 in the integers of Pillow's `convert("L")`."""
    gray = np.empty((*array.shape[:2], 1), array.dtype)
    for first in range(0, len(array), _BAND):
        band = array[first : first + _BAND]
        if array.dtype.kind == "f":
            gray[first : first + _BAND] = band @ np.array([[0.299], [0.587], [0.114]], array.dtype)
        else:
            red, green, blue = np.moveaxis(band.astype(np.uint32), -1, 0)
            gray[first : first + _BAND, :, 0] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return gray
