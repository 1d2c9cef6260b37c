"""TIFFs that Pillow cannot read: 16-bit gray with alpha, floating-point color, and similar ones."""

from keras_wsseg.imaging.image_error import ImageError

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 0x0112
_EXTRA, _FORMAT = 338, 339
_BANDS = {0: "L", 1: "L", 2: "RGB"}
_INTEGERS, _FLOATS = 1, 3
_DEPTHS = {_INTEGERS: (8, 16), _FLOATS: (16, 32, 64)}
# Premultiplied alpha, or not.
_OPACITY = ((1,), (2,))


class FallbackTiff:
    """The header of a TIFF, with the part of Pillow's image interface that is used before decoding.

    Args:
        stream: binary stream of the whole file.
        tags: the tags of its first page, as parsed by Pillow.

    Raises:
        ImageError: if its contents are not supported in image files.
    """

    format, tile = "TIFF", ()

    def __init__(self, stream, tags):
        self.fp, self.tag_v2, self.info = stream, tags, {}
        size = tags[_WIDTH], tags[_HEIGHT]
        self.size = size[::-1] if tags.get(_ORIENTATION) in (5, 6, 7, 8) else size
        photometric, bits, kinds = (
            tags.get(_PHOTOMETRIC),
            set(tags[_BITS]),
            set(tags.get(_FORMAT, (_INTEGERS,))),
        )
        known = len(bits) == len(kinds) == 1 and bits <= set(_DEPTHS.get(min(kinds), ()))
        if photometric not in _BANDS or not known:
            raise ImageError(
                "must be a gray or RGB TIFF with 8 or 16 bits per channel or floating point. "
                f"Received: {_listed(bits)} bits, sample format {_listed(kinds)}, "
                f"photometric interpretation {photometric}"
            )
        self._bands = _BANDS[photometric] + ("A" if tags.get(_EXTRA) in _OPACITY else "")
        self.mode = f"{self._bands} of {_listed(bits)} bits"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Leaves closing the stream to its owner, as Pillow does."""

    def getbands(self):
        """The names of the channels that are used."""
        return tuple(self._bands)

    def getexif(self):
        """The orientation, if there is one."""
        return {_ORIENTATION: self.tag_v2.get(_ORIENTATION, 1)}

    def seek(self, frame):
        """Raises `EOFError` if there is no page after the first."""
        if frame and not self.tag_v2.next:
            raise EOFError


def fallback_tiff(stream):
    """The `FallbackTiff` in a file, or None if it is not a TIFF, or one without a header.

    Args:
        stream: binary stream of the whole file.

    Raises:
        ImageError: if it is a TIFF whose contents are not supported in image files.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    stream.seek(0)
    header = stream.read(16)
    try:
        tags = ImageFileDirectory_v2(header if 43 in header[2:4] else header[:8])
        stream.seek(tags.next)
        tags.load(stream)
        whole = all(isinstance(tags[tag], int) and tags[tag] > 0 for tag in (_WIDTH, _HEIGHT)) and tags[_BITS]
    # Other files and broken TIFFs may raise anything here.
    except Exception:
        return None
    return FallbackTiff(stream, tags) if whole else None


def _listed(numbers):
    return ", ".join(map(str, sorted(numbers)))
