"""Decodes uploaded image files, checking their size before decompression."""

import io

from keras_wsseg.imaging.decoding import as_channels, check_single, decode, open_image
from keras_wsseg.imaging.image_error import ImageError, UnknownImageError
from keras_wsseg.imaging.value_fit import fit_values
from keras_wsseg.serving.request_error import RequestError

# Pillow supports some fifty formats; the fewer are exposed to untrusted input, the better.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
# A photograph has ten, and its previews as many; each further one is another pass over all pixels.
MOST_SCANS = 100
_SCAN = b"\xff\xda"


def open_upload(data, max_pixels):
    """Reads only the header.

    Args:
        data: bytes of a PNG, JPEG, WebP, TIFF or BMP file.
        max_pixels: largest width times height.

    Returns:
        Pillow's image, not decoded.

    Raises:
        RequestError: 413 if the image is too large, 422 if it is not an image, more than one, or has too many
            scans.
    """
    try:
        image = open_image(io.BytesIO(data), FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise RequestError(
                413, f"The image must have at most {max_pixels} pixels. Received: {width}x{height} pixels"
            )
        _check_scans(image, data)
        check_single(image)
    except UnknownImageError:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise RequestError(422, f"The image must be a {kinds} file. Received: another format") from None
    except ImageError as error:
        raise RequestError(422, str(error)) from None
    return image


def decode_upload(image, channels, value_range):
    """The pixels as the segmenter takes them, by the same rules as for all image files.

    Args:
        image: the result of `open_upload`.
        channels: 1 or 3, to which gray and color are converted.
        value_range: `(low, high)` of the segmenter.

    Returns:
        `(height, width, channels)`.

    Raises:
        RequestError: 422 if the file is damaged, has transparent pixels, or values beyond the range.
    """
    try:
        with image:
            return fit_values(as_channels(decode(image), channels), value_range)
    except ImageError as error:
        raise RequestError(422, str(error)) from None
    except ImportError:
        raise RequestError(
            422, "The image must have 8 bits per channel, since this service lacks imagecodecs. Received: 16"
        ) from None


def _check_scans(image, data):
    # Compressed data never contains these bytes. The decoder of JPEG in TIFF itself stops after 100 scans.
    if image.format in ("JPEG", "MPO") and (scans := data.count(_SCAN)) > MOST_SCANS:
        raise RequestError(422, f"A JPEG file must have at most {MOST_SCANS} scans. Received: {scans} scans")
