"""Image files of every kind, and what each road must make of them, written down without any reader of ours.

A road gives the expected pixels or refuses in one sentence what it cannot read exactly.
"""

import dataclasses
import struct
import zlib
from collections.abc import Callable

import numpy as np
from image_writers import (
    LONG,
    changed,
    exif,
    frames,
    png,
    saved,
    tiff,
    with_fill,
    with_local_colors,
    with_second_exif,
)

TRANSPARENT = "transparent pixels"
SEVERAL = "several images"
CHANNELS = "further channels"

# What a road refuses of all that the rule for image files knows, by words in the name of the kind or by the
# suffix of its file, and how a table calls it.
ELSEWHERE = {
    "training": {".gif": "not looked for", ".mpo": "not looked for"},
    "evaluate": {".gif": "not looked for", ".mpo": "not looked for"},
    "predict": {},
    "service": {".gif": "format not accepted", ".npy": "format not accepted"},
    "page": {
        "16 bits": "more than 8 bits",
        "inks": "CMYK",
        ".tiff": "no format of browsers",
        ".npy": "no format of browsers",
    },
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of image file.

    Args:
        name: of the kind, in words.
        file_name: of the file, with the suffix that it usually has.
        write: takes a path and writes the file.
        expected: `(height, width, 1 or 3)` pixels as they are seen, in the depth of the file; or why the file
            must be refused: TRANSPARENT, SEVERAL or CHANNELS.
        tolerance: by how many values decoders of a lossy file may differ.
    """

    name: str
    file_name: str
    write: Callable
    expected: np.ndarray | str
    tolerance: int = 0


def refusal(kind, road):
    """Why a road refuses a kind of file, or None where it gives the expected pixels."""
    found = [why for words, why in ELSEWHERE[road].items() if words in f"{kind.name} {kind.file_name}"]
    return found[-1] if found else kind.expected if isinstance(kind.expected, str) else None


def noise(*shape, most=255, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, most + 1, shape).astype(dtype)


def with_opacity(array, opacity):
    return np.dstack([array, np.broadcast_to(np.asarray(opacity, array.dtype), array.shape[:2])])


def stored(seen, orientation):
    """What a camera stores that is held so that EXIF says `orientation`."""
    return {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.transpose(1, 0, 2),
        6: np.rot90(seen),
        7: np.rot90(seen, 2).transpose(1, 0, 2),
        8: np.rot90(seen, -1),
    }[orientation]


COLOR, OTHER, GRAY = noise(16, 24, 3), noise(16, 24, 3, seed=1), noise(16, 24, 1)
FLAT = np.full((16, 24, 3), (200, 30, 40), "uint8")
# JPEG keeps blocks of 8 x 8 that have one color; no turn nor flip of these looks like another.
BLOCKS = np.kron(noise(2, 3, 3), np.ones((8, 8, 1), "uint8"))
LOSSY = {"quality": 100, "subsampling": 0}

# One column of pixels is transparent, barely.
GLASS, GLASS_16 = (np.where(np.arange(24) == 23, opaque - 1, opaque) for opaque in (255, 65535))
DEEP, DEEP_GRAY = (noise(16, 24, count, most=65535, dtype="uint16") for count in (3, 1))
FLOAT, FLOAT_COLOR = (noise(16, 24, count, most=1000) / np.float32(1000) for count in (1, 3))

INDICES = noise(16, 24, 1, most=3)
PALETTE = noise(4, 3)
SEEN = PALETTE[INDICES[..., 0]]
PLTE = (b"PLTE", PALETTE.tobytes())
PLTE_UNUSED = [(b"PLTE", PALETTE.tobytes() + bytes(3)), (b"tRNS", b"\xff\xff\xff\xff\0")]
# Black is transparent.
KEY = (b"tRNS", bytes(6))
# So is a gray of 1.
GRAY_KEY = (b"tRNS", b"\0\1")
WITHOUT_BLACK, WITH_BLACK = np.maximum(COLOR, 1), COLOR * (np.arange(24) > 0)[:, None]

# Multiples of 5 times 102 / 255 are whole, so that nobody rounds.
INKS = with_opacity(np.kron(noise(2, 3, 3, most=51), np.ones((8, 8, 1), "uint8")) * 5, 0)
INKS[8:, :, 3] = 153
INKED = ((255 - INKS[..., :3].astype(int)) * (255 - INKS[..., 3:].astype(int)) // 255).astype("uint8")

EXIF = b"Exif\0\0" + exif(6)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
XMP_CHUNK = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
PACKED_XMP_CHUNK = (b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(XMP))
# As ImageMagick writes it.
PROFILE = b"\nexif\n%8d\n%b\n" % (len(EXIF), EXIF.hex("\n", -36).encode())
PROFILE_CHUNK = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE))

ANIMATION = (b"acTL", struct.pack(">2I", 1, 0))
FRAME = (b"fcTL", struct.pack(">5I2H2B", 0, 24, 16, 0, 0, 1, 10, 0, 0))
FRAME_BEHIND = [FRAME, (b"fdAT", struct.pack(">I", 1) + zlib.compress(bytes(16 * (1 + 24 * 3))))]

KINDS = [
    Kind("gray of 8 bits", "gray.png", saved(GRAY), GRAY),
    Kind("gray of 1 bit", "gray1.png", png(GRAY % 2, 1, 0), GRAY % 2 * 255),
    Kind("gray of 2 bits", "gray2.png", png(GRAY % 4, 2, 0), GRAY % 4 * 85),
    Kind("gray of 4 bits", "gray4.png", png(GRAY % 16, 4, 0), GRAY % 16 * 17),
    Kind("color of 8 bits", "color.png", saved(COLOR), COLOR),
    Kind("gamma", "gamma.png", png(COLOR, 8, 2, [(b"gAMA", struct.pack(">I", 100_000))]), COLOR),
    Kind("opaque color", "opaque.png", saved(with_opacity(COLOR, 255)), COLOR),
    Kind("transparent color", "glass.png", saved(with_opacity(COLOR, GLASS)), TRANSPARENT),
    Kind("opaque gray", "gray_opaque.png", saved(with_opacity(GRAY, 255)), GRAY),
    Kind("transparent gray", "gray_glass.png", saved(with_opacity(GRAY, GLASS)), TRANSPARENT),
    Kind("color that is transparent", "key.png", png(WITH_BLACK, 8, 2, [KEY]), TRANSPARENT),
    Kind("no pixel of that color", "no_key.png", png(WITHOUT_BLACK, 8, 2, [KEY]), WITHOUT_BLACK),
    Kind("gray that is transparent", "gray_key.png", png(GRAY % 4, 2, 0, [GRAY_KEY]), TRANSPARENT),
    Kind(
        "no pixel of that gray",
        "no_gray_key.png",
        png(GRAY % 4 // 2 * 2, 2, 0, [GRAY_KEY]),
        GRAY % 4 // 2 * 170,
    ),
    Kind(
        "gray of 16 bits that is transparent",
        "key16.png",
        png(DEEP_GRAY // 256, 16, 0, [GRAY_KEY]),
        TRANSPARENT,
    ),
    Kind("palette", "palette.png", saved(INDICES, "P", PALETTE), SEEN),
    Kind("palette of 2 bits", "palette2.png", png(INDICES, 2, 3, [PLTE]), SEEN),
    Kind(
        "transparent palette",
        "palette_glass.png",
        png(INDICES, 8, 3, [PLTE, (b"tRNS", b"\xfe")]),
        TRANSPARENT,
    ),
    Kind("no pixel of a transparent palette", "palette_opaque.png", png(INDICES, 8, 3, PLTE_UNUSED), SEEN),
    Kind("gray of 16 bits", "gray16.png", saved(DEEP_GRAY), DEEP_GRAY),
    Kind("color of 16 bits", "deep.png", png(DEEP, 16, 2), DEEP),
    Kind("opaque 16 bits", "deep_opaque.png", png(with_opacity(DEEP, 65535), 16, 6), DEEP),
    Kind("transparent 16 bits", "deep_glass.png", png(with_opacity(DEEP, GLASS_16), 16, 6), TRANSPARENT),
    *(
        Kind(
            f"PNG of orientation {number}",
            f"turned{number}.png",
            saved(stored(COLOR, number), exif=tag),
            COLOR,
        )
        for number in (3, 6, 8)
        for tag in [exif(number)]
    ),
    *(
        Kind(f"PNG turned by {words}", f"{words}.png", png(stored(COLOR, 6), 8, 2, before, after), COLOR)
        for words, before, after in (
            ("EXIF behind the pixels", [], [(b"eXIf", exif(6))]),
            ("XMP", [XMP_CHUNK], []),
            ("packed XMP", [], [PACKED_XMP_CHUNK]),
            ("a profile", [PROFILE_CHUNK], []),
        )
    ),
    Kind("animated PNG", "animated.png", frames(COLOR, OTHER), SEVERAL),
    Kind("animated PNG of one frame", "frame.png", png(COLOR, 8, 2, [ANIMATION, FRAME]), COLOR),
    Kind("frame behind a PNG", "behind.png", png(COLOR, 8, 2, [ANIMATION], FRAME_BEHIND), SEVERAL),
    Kind("JPEG", "color.jpg", saved(BLOCKS, **LOSSY), BLOCKS, 2),
    Kind("JPEG named jfif", "color.jfif", saved(BLOCKS, **LOSSY), BLOCKS, 2),
    Kind("progressive JPEG", "progressive.jpeg", saved(BLOCKS, progressive=True, **LOSSY), BLOCKS, 2),
    Kind("gray JPEG", "gray.jpg", saved(BLOCKS[..., :1], **LOSSY), BLOCKS[..., :1], 2),
    *(
        Kind(
            f"JPEG of orientation {number}", f"turned{number}.jpg", saved(array, exif=tag, **LOSSY), BLOCKS, 2
        )
        for number in range(1, 9)
        for array, tag in [(stored(BLOCKS, number), b"Exif\0\0" + exif(number))]
    ),
    *(
        Kind(f"JPEG turned by {words}", f"{words}.jpg", saved(stored(BLOCKS, 6), **tag, **LOSSY), BLOCKS, 2)
        for words, tag in (
            ("XMP", {"xmp": XMP}),
            ("a long number", {"exif": b"Exif\0\0" + exif(6, LONG)}),
            ("EXIF rather than XMP", {"exif": EXIF, "xmp": XMP.replace(b"6", b"3")}),
        )
    ),
    Kind(
        "JPEG of EXIF in parts",
        "parts.jpg",
        changed(saved(stored(BLOCKS, 6), exif=EXIF, **LOSSY), with_second_exif),
        BLOCKS,
        2,
    ),
    Kind("JPEG of inks", "inks.jpg", saved(INKS, "CMYK", **LOSSY), INKED, 2),
    Kind("JPEG of inks behind fill", "fill.jpg", changed(saved(INKS, "CMYK", **LOSSY), with_fill), INKED, 2),
    Kind("photograph with a preview", "preview.mpo", frames(BLOCKS, OTHER[:8, :8], **LOSSY), BLOCKS, 2),
    Kind("WebP", "color.webp", saved(COLOR, lossless=True), COLOR),
    Kind("lossy WebP", "lossy.webp", saved(FLAT, quality=100), FLAT, 2),
    Kind("opaque WebP", "opaque.webp", saved(with_opacity(COLOR, 255), lossless=True), COLOR),
    Kind("transparent WebP", "glass.webp", saved(with_opacity(COLOR, GLASS), lossless=True), TRANSPARENT),
    *(
        Kind(
            f"WebP of orientation {number}",
            f"turned{number}.webp",
            saved(array, exif=tag, lossless=True),
            COLOR,
        )
        for number in (3, 6, 8)
        for array, tag in [(stored(COLOR, number), exif(number))]
    ),
    # The pixels of this one take an odd number of bytes.
    Kind("WebP turned by XMP", "xmp.webp", saved(stored(OTHER, 6), xmp=XMP, lossless=True), OTHER),
    Kind("animated WebP", "animated.webp", frames(COLOR, OTHER, lossless=True), SEVERAL),
    Kind("GIF", "still.gif", saved(INDICES, "P", PALETTE, comment=b"one frame"), SEEN),
    Kind("GIF of local colors", "local.gif", changed(saved(INDICES, "P", PALETTE), with_local_colors), SEEN),
    Kind("transparent GIF", "glass.gif", saved(INDICES, "P", PALETTE, transparency=2), TRANSPARENT),
    Kind("animated GIF", "animated.gif", frames(COLOR, OTHER), SEVERAL),
    Kind("animated local colors", "locals.gif", changed(frames(COLOR, OTHER), with_local_colors), SEVERAL),
    Kind("BMP", "color.bmp", saved(COLOR), COLOR),
    Kind("gray BMP", "gray.bmp", saved(GRAY), GRAY),
    Kind("TIFF", "color.tiff", saved(COLOR), COLOR),
    Kind("TIFF of 16 bits of gray", "gray16.tiff", saved(DEEP_GRAY), DEEP_GRAY),
    Kind("TIFF that has white as zero", "white.tiff", tiff(GRAY, photometric=0), 255 - GRAY),
    Kind(
        "TIFF of 16 bits that has white as zero",
        "white16.tiff",
        tiff(DEEP_GRAY, photometric=0),
        65535 - DEEP_GRAY,
    ),
    Kind("TIFF of 16 bits of color", "deep.tiff", tiff(DEEP), DEEP),
    Kind("TIFF of 16 bits in planes", "planes.tiff", tiff(DEEP, planes=True), DEEP),
    Kind("TIFF of floating point", "float.tiff", saved(FLOAT), FLOAT),
    Kind(
        "TIFF of opaque gray of 16 bits", "opaque.tiff", tiff(with_opacity(DEEP_GRAY, 65535), [2]), DEEP_GRAY
    ),
    Kind(
        "TIFF of transparent gray of 16 bits",
        "glass.tiff",
        tiff(with_opacity(DEEP_GRAY, GLASS_16), [2]),
        TRANSPARENT,
    ),
    Kind("TIFF of color in floating point", "float3.tiff", tiff(FLOAT_COLOR), FLOAT_COLOR),
    Kind("TIFF of inks", "inks.tiff", saved(INKS, "CMYK"), INKED),
    Kind("TIFF of several pages", "pages.tiff", frames(COLOR, OTHER), SEVERAL),
    Kind("TIFF with a channel of no meaning", "four.tiff", tiff(np.dstack([COLOR, GRAY]), [0]), CHANNELS),
    Kind("TIFF of five channels", "five.tiff", tiff(np.dstack([COLOR, GRAY, GRAY]), [0, 0]), CHANNELS),
    Kind("NumPy file", "color.npy", lambda path: np.save(path, COLOR), COLOR),
]
