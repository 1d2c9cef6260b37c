"""From the bytes of a picture file to an array, with a look at its size before anything is unpacked."""

import io

from PIL import Image, ImageOps

from keras_wsseg.export.pictures import as_grey_or_rgb, has_several_frames, has_transparent_pixels
from keras_wsseg.serving.refusal import Refusal

# Pillow knows some fifty formats; the fewer are open to strangers, the better.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
# A photograph has ten, and its previews as many; each further one is a further pass over all pixels.
MOST_SCANS = 100
_SCAN = b"\xff\xda"


def open_picture(data, max_pixels):
    """Reads the header alone.

    Args:
        data: bytes of a PNG, JPEG, WebP, TIFF or BMP file.
        max_pixels: largest width times height.

    Returns:
        Pillow's image, not decoded.

    Raises:
        Refusal: 413 if the picture is too large, 422 if it is none, more than one, or one of far too many
            scans.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refusal(413, f"A picture must have at most {max_pixels} pixels. Received: far more") from None
    except Exception as error:
        raise _unreadable(error) from None
    width, height = picture.size
    if width * height > max_pixels:
        raise Refusal(
            413, f"A picture must have at most {max_pixels} pixels. Received: {width}x{height} pixels"
        )
    _check_scans(picture, data)
    try:
        several = has_several_frames(picture)
    except Exception as error:
        raise _unreadable(error) from None
    if several:
        raise Refusal(422, "The file must hold one picture. Received: several pictures")
    return picture


def decode_picture(picture, channels):
    """The pixels as they are seen: 16 bits stay 16 bits, turned photographs are turned.

    Args:
        picture: what `open_picture` returned.
        channels: 1 or 3, which grey and colour are brought to.

    Returns:
        `(height, width)` for 1 channel, `(height, width, 3)` for 3.

    Raises:
        Refusal: 422 if the file is damaged or has transparent pixels.
    """
    try:
        with picture:
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            transparent = has_transparent_pixels(upright)
            array = as_grey_or_rgb(upright, channels)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(error) from None
    if transparent:
        raise Refusal(422, "The picture must be opaque. Received: transparent pixels")
    return array


def _check_scans(picture, data):
    # What is packed never holds these bytes. The decoder of JPEG in TIFF stops after 100 scans by itself.
    if picture.format in ("JPEG", "MPO") and (scans := data.count(_SCAN)) > MOST_SCANS:
        raise Refusal(422, f"A JPEG file must have at most {MOST_SCANS} scans. Received: {scans} scans")


def _unreadable(error):
    if isinstance(error, Image.UnidentifiedImageError):
        return Refusal(422, f"The body must be a picture: {', '.join(FORMATS)}. Received: something else")
    said = " ".join(str(error).split()) or type(error).__name__
    return Refusal(422, f"The picture must be a whole file. Received: one of which its decoder says: {said}")
