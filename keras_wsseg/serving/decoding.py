"""From the bytes of a picture file to an array, with a look at its size before anything is unpacked."""

import io

from PIL import Image, ImageOps

from keras_wsseg.export.pictures import as_grey_or_rgb, has_transparent_pixels
from keras_wsseg.serving.refusal import Refusal

# Pillow knows some fifty formats; the fewer are open to strangers, the better.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")


def open_picture(data, max_pixels):
    """Reads the header alone.

    Args:
        data: bytes of a PNG, JPEG, WebP, TIFF or BMP file.
        max_pixels: largest width times height.

    Returns:
        Pillow's image, not decoded.

    Raises:
        Refusal: 413 if the picture is too large, 422 if it is none or more than one.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        frames = getattr(picture, "n_frames", 1)
    except Image.DecompressionBombError:
        raise Refusal(413, f"A picture must have at most {max_pixels} pixels. Received: far more") from None
    except Exception as error:
        raise _unreadable(error) from None
    width, height = picture.size
    if width * height > max_pixels:
        raise Refusal(
            413, f"A picture must have at most {max_pixels} pixels. Received: {width}x{height} pixels"
        )
    # Cameras put a preview behind the photograph, which is then called MPO.
    if frames > 1 and picture.format != "MPO":
        raise Refusal(422, f"The file must hold one picture. Received: {frames} pictures")
    return picture


def decode_picture(picture):
    """The pixels as they are seen: grey stays grey, 16 bits stay 16 bits, turned photographs are turned.

    Args:
        picture: what `open_picture` returned.

    Returns:
        `(height, width)` for grey, `(height, width, 3)` for colour.

    Raises:
        Refusal: 422 if the file is damaged or has transparent pixels.
    """
    try:
        with picture:
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            transparent = has_transparent_pixels(upright)
            array = as_grey_or_rgb(upright)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(error) from None
    if transparent:
        raise Refusal(422, "The picture must be opaque. Received: transparent pixels")
    return array


def _unreadable(error):
    if isinstance(error, Image.UnidentifiedImageError):
        return Refusal(422, f"The body must be a picture: {', '.join(FORMATS)}. Received: something else")
    said = " ".join(str(error).split()) or type(error).__name__
    return Refusal(422, f"The picture must be a whole file. Received: one of which its decoder says: {said}")
