"""Writers of image files, by Pillow and, for what Pillow cannot write, byte by byte.

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
        image = Image.fromarray(np.ascontiguousarray(array.squeeze()), mode)
        if palette is not None:
            image.putpalette(palette.ravel().tolist())
        image.save(path, **options)

    return write


def frames(*arrays, **options):
    """An animation or the pages of a document."""

    def write(path):
        first, *others = map(Image.fromarray, arrays)
        first.save(path, save_all=True, append_images=others, **options)

    return write


def changed(write, change):
    """What another writer writes, with its bytes changed."""

    def write_changed(path):
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return write_changed


def with_fill(jpeg):
    """The bytes of a JPEG with bytes before its frame that mean nothing, as the standard allows."""
    return jpeg.replace(b"\xff\xc0", b"\xff\xff\xff\xc0")


def with_second_exif(jpeg):
    """The bytes of a JPEG whose EXIF block goes on in a second segment, as one above 64 kB does."""
    part = b"Exif\0\0" + bytes(20)
    return jpeg.replace(b"\xff\xdb", b"\xff\xe1" + struct.pack(">H", 2 + len(part)) + part + b"\xff\xdb", 1)


def with_local_colors(gif):
    """The bytes of a GIF whose colors belong to its frame rather than to the file."""
    size = gif[10] & 7
    end = 13 + 3 * 2 ** (size + 1)
    frame = gif.index(b",", end)
    return b"".join(
        [
            gif[:10],
            bytes([gif[10] & 0x7F]),
            gif[11:13],
            gif[end : frame + 9],
            bytes([0x80 | gif[frame + 9] | size]),
            gif[13:end],
            gif[frame + 10 :],
        ]
    )


def png(samples, bits, color_type, before=(), after=()):
    """A PNG of samples that Pillow does not write.

    Args:
        samples: `(height, width, samples)`.
        bits: of a sample.
        color_type: as the standard numbers them.
        before, after: `(kind, data)` of further chunks around the pixels.
    """
    height, width = samples.shape[:2]
    if bits == 16:
        rows = samples.astype(">u2").reshape(height, -1).view("uint8")
    else:
        rows = packed(samples, bits)
    header = struct.pack(">2I5B", width, height, bits, color_type, 0, 0, 0)
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


def packed(samples, bits):
    """Rows of bytes that hold samples of fewer bits."""
    each = np.unpackbits(samples.astype("uint8").reshape(len(samples), -1, 1), axis=-1)[..., 8 - bits :]
    return np.packbits(each.reshape(len(samples), -1), axis=-1)


def tiff(samples, meanings=(), orientation=1, photometric=None, planes=False, bits=None, order="<"):
    """A TIFF of samples that Pillow does not write.

    Args:
        samples: `(height, width, samples)`, unsigned or floating point.
        meanings: of the samples beyond gray or color, as the tag ExtraSamples numbers them.
        orientation: as EXIF numbers it.
        photometric: as the tag PhotometricInterpretation numbers it; by default black is zero, or RGB.
        planes: whether the channels lie one behind the other.
        bits: of a sample, where they are fewer than 8.
        order: of the bytes, `"<"` or `">"`.
    """
    height, width, count = samples.shape
    samples = samples if bits is None else packed(samples, bits)
    stored = samples.astype(samples.dtype.newbyteorder(order))
    strips = [stored[..., number].tobytes() for number in range(count)] if planes else [stored.tobytes()]
    data = b"".join(strips)
    data += b"\0" * (len(data) % 2)
    fields = {
        256: [width],
        257: [height],
        258: [bits or samples.itemsize * 8] * count,
        259: [1],
        262: [(2 if count - len(meanings) == 3 else 1) if photometric is None else photometric],
        273: [8 + number * len(strips[0]) for number in range(len(strips))],
        274: [orientation],
        277: [count],
        278: [height],
        279: [len(strip) for strip in strips],
        284: [2 if planes else 1],
        339: [3 if samples.dtype.kind == "f" else 1] * count,
    }
    if meanings:
        fields[338] = meanings
    directory = 8 + len(data)
    entries, beyond = b"", b""
    for tag, values in sorted(fields.items()):
        value = struct.pack(f"{order}{len(values)}H", *values)
        if len(value) > 4:
            place = directory + 2 + 12 * len(fields) + 4 + len(beyond)
            value, beyond = struct.pack(f"{order}I", place), beyond + value
        entries += struct.pack(f"{order}HHI", tag, SHORT, len(values)) + value.ljust(4, b"\0")

    def write(path):
        path.write_bytes(
            struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, directory)
            + data
            + struct.pack(f"{order}H", len(fields))
            + entries
            + struct.pack(f"{order}I", 0)
            + beyond
        )

    return write


def exif(orientation, kind=SHORT):
    """The bytes of an EXIF block that says nothing but the orientation, as a number of the given kind."""
    value = struct.pack(">HH", orientation, 0) if kind == SHORT else struct.pack(">I", orientation)
    return struct.pack(">2sHIHHHI", b"MM", 42, 8, 1, ORIENTATION, kind, 1) + value + struct.pack(">I", 0)


def numpy_header(text):
    """A NumPy file of nothing but a header."""

    def write(path):
        header = text.encode().ljust(117) + b"\n"
        path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)

    return write


def renamed_archive(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros((2, 2), "uint8"))


# Writers of NumPy files that hold no array, by words of what is said about them.
NO_ARRAYS = {
    "an archive": renamed_archive,
    "Unable to allocate": numpy_header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000, 10000000), }"
    ),
    "multi-line": numpy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2"),
}
