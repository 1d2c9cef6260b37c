"""Writers of picture files, by Pillow and, for what Pillow cannot write, byte by byte.

Each function here gives a function that takes a path and writes a file there.
"""

import struct
import zlib

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
SHORT, LONG = 3, 4


def saved(array, mode=None, palette=None, **options):
    """An array by Pillow, which takes the format from the name of the file; `options` are those of `save`."""

    def write(path):
        picture = Image.fromarray(np.ascontiguousarray(array.squeeze()), mode)
        if palette is not None:
            picture.putpalette(palette.ravel().tolist())
        picture.save(path, **options)

    return write


def frames(*arrays, **options):
    """An animation or the pages of a document."""

    def write(path):
        first, *others = map(Image.fromarray, arrays)
        first.save(path, save_all=True, append_images=others, **options)

    return write


def png(samples, bits, colour_type, before=(), after=()):
    """A PNG of samples that Pillow does not write.

    Args:
        samples: `(height, width, samples)`.
        bits: of a sample.
        colour_type: as the standard numbers them.
        before, after: `(kind, data)` of further chunks around the pixels.
    """
    height, width = samples.shape[:2]
    if bits == 16:
        rows = samples.astype(">u2").reshape(height, -1).view("uint8")
    else:
        each = np.unpackbits(samples.astype("uint8").reshape(height, -1, 1), axis=-1)[..., 8 - bits :]
        rows = np.packbits(each.reshape(height, -1), axis=-1)
    header = struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), *before, (b"IDAT", pixels), *after, (b"IEND", b"")]

    def write(path):
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                for kind, data in chunks
            )
        )

    return write


def tiff(samples, meanings=()):
    """A TIFF of samples that Pillow does not write.

    Args:
        samples: `(height, width, samples)`, unsigned or floating point.
        meanings: of the samples beyond grey or colour, as the tag ExtraSamples numbers them.
    """
    height, width, count = samples.shape
    data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    data += b"\0" * (len(data) % 2)
    fields = {
        256: [width],
        257: [height],
        258: [samples.itemsize * 8] * count,
        259: [1],
        262: [2 if count - len(meanings) == 3 else 1],
        273: [8],
        277: [count],
        278: [height],
        279: [len(data)],
        339: [3 if samples.dtype.kind == "f" else 1] * count,
    }
    if meanings:
        fields[338] = meanings
    directory = 8 + len(data)
    entries, beyond = b"", b""
    for tag, values in sorted(fields.items()):
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            place = directory + 2 + 12 * len(fields) + 4 + len(beyond)
            packed, beyond = struct.pack("<I", place), beyond + packed
        entries += struct.pack("<HHI", tag, SHORT, len(values)) + packed.ljust(4, b"\0")

    def write(path):
        path.write_bytes(
            struct.pack("<2sHI", b"II", 42, directory)
            + data
            + struct.pack("<H", len(fields))
            + entries
            + struct.pack("<I", 0)
            + beyond
        )

    return write


def exif(orientation, kind=SHORT):
    """The bytes of an EXIF block that says nothing but the orientation, as a number of the given kind."""
    value = struct.pack(">HH", orientation, 0) if kind == SHORT else struct.pack(">I", orientation)
    return struct.pack(">2sHIHHHI", b"MM", 42, 8, 1, ORIENTATION, kind, 1) + value + struct.pack(">I", 0)
