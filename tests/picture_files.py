"""Picture files that Pillow cannot write: 16 bits of colour, and bands of no meaning."""

import struct
import zlib


def png_of_sixteen_bits(array, transparent=None, orientation=None):
    """A PNG of 16 bits a channel.

    Args:
        array: uint16 `(height, width, channels)`, 1 to 4 channels.
        transparent: the colour that stands for transparent, or None.
        orientation: of its EXIF data, or None.
    """
    height, width, channels = array.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if transparent is not None:
        chunks.append((b"tRNS", struct.pack(f">{channels}H", *map(int, transparent))))
    if orientation is not None:
        chunks.append((b"eXIf", _entries([(0x0112, 3, 1, orientation)], b"II*\0" + struct.pack("<I", 8))))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    return _png([*chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def png_of_few_bits(array, bits):
    """A grey PNG of 1, 2 or 4 bits, of integers `(height, width)` as they are stored."""
    height, width = array.shape
    rows = b""
    for row in array:
        digits = "".join(f"{value:0{bits}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return _png([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def tiff_of(array, orientation=1, extra=()):
    """An uncompressed TIFF.

    Args:
        array: uint8 or uint16 `(height, width, channels)`: grey with fewer than three of them, else colour.
        orientation: its tag.
        extra: what the further channels mean, 0 for nothing, 2 for opacity.
    """
    height, width, channels = array.shape
    pixels = array.astype(array.dtype.newbyteorder("<")).tobytes()
    bits = struct.pack(f"<{channels}H", *[8 * array.dtype.itemsize] * channels)
    more = struct.pack(f"<{len(extra)}H", *extra)
    at_bits, at_more = 8 + len(pixels), 8 + len(pixels) + len(bits)
    directory = at_more + len(more)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, at_bits if channels > 2 else int.from_bytes(bits, "little")),
        (259, 3, 1, 1),
        (262, 3, 1, 1 if channels < 3 else 2),
        (273, 4, 1, 8),
        (274, 3, 1, orientation),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(pixels)),
    ]
    if extra:
        place = at_more if len(extra) > 2 else int.from_bytes(more, "little")
        tags.append((338, 3, len(extra), place))
    return b"II*\0" + struct.pack("<I", directory) + pixels + bits + more + _entries(tags)


def _png(chunks):
    body = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _entries(tags, head=b""):
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)
