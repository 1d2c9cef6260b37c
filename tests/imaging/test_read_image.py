import builtins
import io
import struct
import warnings

import numpy as np
import pytest
from image_writers import NO_ARRAYS, png, tiff
from PIL import Image

from keras_wsseg.imaging import ImageError, read_image
from keras_wsseg.imaging.read_image import ImageInfo, inspect_image


def saved(tmp_path, array, name="a.png", mode=None, **options):
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(tmp_path / name, **options)
    return tmp_path / name


def deep_png(array, before=()):
    return png(array, 16, {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[-1]], before)


def pixels(*shape, seed=0, dtype="uint8"):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def turned(seen, orientation):
    """The pixels that a file stores, whose tag makes viewers show `seen`."""
    stored = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.swapaxes(0, 1),
        6: np.rot90(seen),
        7: np.rot90(seen, 2).swapaxes(0, 1),
        8: np.rot90(seen, -1),
    }[orientation]
    return np.ascontiguousarray(stored)


RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOR = np.stack([RAMP, RAMP + 50, RAMP + 100], axis=-1)
BYTES = (0, 255)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp"])
def test_eight_bits_as_they_are(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    color = saved(tmp_path, COLOR, "c" + name, **options)
    assert inspect_image(color) == ImageInfo((6, 8), True, "uint8", BYTES)
    assert np.array_equal(read_image(color), COLOR)
    np.testing.assert_array_equal(
        read_image(color, 1)[..., 0], np.asarray(Image.fromarray(COLOR).convert("L"))
    )
    if name != "a.webp":
        gray = saved(tmp_path, RAMP, "g" + name)
        assert inspect_image(gray) == ImageInfo((6, 8), False, "uint8", BYTES)
        assert np.array_equal(read_image(gray), RAMP[..., None])
        assert np.array_equal(read_image(gray, 3), np.repeat(RAMP[..., None], 3, -1))


def test_large_images_are_brought_over_in_bands(tmp_path):
    tall = pixels(2500, 3, 3)
    path = saved(tmp_path, tall)
    assert np.array_equal(read_image(path), tall)
    np.testing.assert_array_equal(read_image(path, 1)[..., 0], np.asarray(Image.fromarray(tall).convert("L")))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_of_gray_as_they_are(tmp_path, name):
    deep = RAMP.astype(np.uint16) * 1300
    path = saved(tmp_path, deep, name)
    assert inspect_image(path) == ImageInfo((6, 8), False, "uint16", (0, 61100))
    read = read_image(path)
    assert read.dtype == np.uint16 and read.dtype.isnative and np.array_equal(read[..., 0], deep)
    assert np.array_equal(read_image(path, 3), np.repeat(deep[..., None], 3, -1))
    assert np.array_equal(read_image(path, 1), deep[..., None])


@pytest.mark.parametrize("writer", [deep_png, tiff])
def test_sixteen_bits_of_color_as_they_are(tmp_path, writer):
    deep = pixels(6, 8, 3, dtype="uint16")
    path = tmp_path / "a.file"
    writer(deep)(path)
    assert inspect_image(path) == ImageInfo((6, 8), True, "uint16", (deep.min(), deep.max()))
    read = read_image(path)
    assert read.dtype == np.uint16 and np.array_equal(read, deep)
    luma = read_image(path, 1)
    assert luma.dtype == np.uint16
    np.testing.assert_allclose(luma[..., 0], deep @ [0.299, 0.587, 0.114], atol=1)


@pytest.mark.parametrize("name", ["a.jp2", "a.j2k"])
@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_2000_of_more_than_eight_bits_is_read_whole(tmp_path, bits, name):
    imagecodecs = pytest.importorskip("imagecodecs")
    path, spread = tmp_path / name, 2 ** (16 - bits)

    def write(array):
        path.write_bytes(imagecodecs.jpeg2k_encode(array, level=0, codecformat=name[2:], bitspersample=bits))

    for channels in (1, 2, 3, 4):
        deep = pixels(6, 8, channels, dtype="uint16") // spread
        if channels in (2, 4):
            deep[..., -1] = 2**bits - 1
        write(deep.squeeze())
        seen = deep[..., : channels - 1 + channels % 2]
        assert np.array_equal(read_image(path), seen * np.uint16(spread))
    deep[2, 3, 3] -= 1
    write(deep)
    with pytest.raises(ImageError, match=r"must be opaque"):
        read_image(path)


def test_jpeg_2000_of_eight_bits_is_read_as_before(tmp_path):
    large = pixels(200, 300, 3)
    path = saved(tmp_path, large, "a.jp2")
    assert np.array_equal(read_image(path), large)
    content = path.read_bytes()
    for length in (90, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=r"a\.jp2' must be an? (whole|image) file\. Received: "):
            read_image(path)


def sgi(array, packed=False):
    """An SGI file of 16 bits, each row and channel packed on its own or none."""
    height, width, channels = array.shape
    header = struct.pack(">hBBHHHH", 474, packed, 2, 3 if channels > 1 else 2, width, height, channels)
    rows = [row.astype(">u2").tobytes() for row in np.moveaxis(array, -1, 0)[:, ::-1].reshape(-1, width)]
    if packed:
        rows = [struct.pack(">H", 0x80 | width) + row + bytes(2) for row in rows]
        first = 512 + 8 * len(rows)
        header = header.ljust(512, b"\0")
        header += struct.pack(
            f">{len(rows)}I", *(first + number * len(rows[0]) for number in range(len(rows)))
        )
        header += struct.pack(f">{len(rows)}I", *map(len, rows))
    return header.ljust(512, b"\0") + b"".join(rows)


DEEP = pixels(4, 6, 3, dtype="uint16")
WOULD_BE_CUT = {
    "binary.ppm": b"P6 6 4 65535\n" + DEEP.astype(">u2").tobytes(),
    "of 10 bits.ppm": b"P6 6 4 1023\n" + (DEEP // 64).astype(">u2").tobytes(),
    "text.ppm": b"P3 6 4 65535\n" + " ".join(map(str, DEEP.ravel())).encode(),
    "plain.sgi": sgi(DEEP),
    "packed.sgi": sgi(DEEP, packed=True),
    "gray.sgi": sgi(DEEP[..., :1]),
}


@pytest.mark.parametrize("name", WOULD_BE_CUT)
def test_what_would_be_cut_to_eight_bits_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(WOULD_BE_CUT[name])
    for function in (read_image, inspect_image):
        with pytest.raises(ImageError, match=rf"{name}' must be a PNG, .* Received: {name[-3:].upper()}$"):
            function(tmp_path / name)


@pytest.mark.parametrize("name", ["a.ppm", "a.sgi"])
def test_their_eight_bits_are_read(tmp_path, name):
    assert np.array_equal(read_image(saved(tmp_path, COLOR, name)), COLOR)
    if name == "a.ppm":
        (tmp_path / name).write_bytes(b"P6 8 6 15\n" + (COLOR // 16).tobytes())
        assert np.array_equal(read_image(tmp_path / name), COLOR // 16 * 17)


@pytest.mark.parametrize("size", [(3, 4), (3, 3)])
def test_a_tiff_holds_its_channels_one_behind_the_other(tmp_path, size):
    for channels in (3, 4):
        deep = pixels(*size, channels, dtype="uint16")
        deep[..., 3:] = 65535
        tiff(deep, [2] * (channels - 3), planes=True)(tmp_path / "a.tif")
        assert np.array_equal(read_image(tmp_path / "a.tif"), deep[..., :3])


ODD = {
    "16 bits of gray with opacity": (pixels(6, 8, 2, dtype="uint16"), {"meanings": [2]}),
    "with opacity in planes": (pixels(6, 8, 2, dtype="uint16"), {"meanings": [1], "planes": True}),
    "opacity and white as zero": (pixels(6, 8, 2, dtype="uint16"), {"meanings": [2], "photometric": 0}),
    "8 bits and white as zero": (pixels(6, 8, 2), {"meanings": [2], "photometric": 0}),
    "big-endian and white as zero": (pixels(6, 8, 1, dtype="uint16"), {"order": ">", "photometric": 0}),
    "floating point of color": (np.random.default_rng(0).random((6, 8, 3), "float32"), {}),
    "in planes": (np.random.default_rng(0).random((6, 8, 3), "float32"), {"planes": True}),
    "with opacity": (np.random.default_rng(0).random((6, 8, 4), "float32"), {"meanings": [2]}),
    "double precision": (np.random.default_rng(0).random((6, 8, 1)), {}),
    "half precision": (np.random.default_rng(0).random((6, 8, 3)).astype("float16"), {"order": ">"}),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("orientation", [1, 6])
def test_tiffs_that_pillow_does_not_know(tmp_path, kind, orientation):
    array, options = ODD[kind]
    path, array = tmp_path / "a.tif", array.copy()
    most = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    opacity = array[..., array.shape[-1] - 1 + array.shape[-1] % 2 :]
    opacity[:] = most
    tiff(turned(array, orientation), orientation=orientation, **options)(path)
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(path)
    seen = array[..., : array.shape[-1] - opacity.shape[-1]]
    seen = most - seen if options.get("photometric") == 0 else seen
    read = read_image(path)
    assert read.dtype == (np.float32 if array.dtype.kind == "f" else array.dtype)
    assert np.array_equal(read, seen.astype(read.dtype))
    assert inspect_image(path).size == (6, 8)
    if opacity.size:
        opacity[2, 3] *= array.dtype.type(0.5) if array.dtype.kind == "f" else 0
        tiff(array, **options)(path)
        with pytest.raises(ImageError, match=r"a\.tif' must be opaque"):
            read_image(path)


@pytest.mark.parametrize(
    ("array", "options", "received"),
    [
        (np.zeros((4, 6, 3), "uint32"), {}, "32 bits, sample format 1, photometric interpretation 2"),
        (np.zeros((4, 6, 1), "uint16"), {"photometric": 3}, "16 bits, .* photometric interpretation 3"),
        (np.zeros((4, 6, 3), "uint16"), {"photometric": 32803}, "16 bits, .* interpretation 32803"),
        (np.zeros((4, 6, 2), "uint16"), {"meanings": [0]}, "2 channels"),
        (np.zeros((4, 6, 5), "uint16"), {"meanings": [2, 0]}, "5 channels"),
    ],
)
def test_tiffs_that_are_not_read_say_why(tmp_path, array, options, received):
    tiff(array, **options)(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=rf"a\.tif' must .* Received: {received}$"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_white_is_zero(tmp_path, bits):
    most = 2**bits - 1
    gray = pixels(6, 8, 1, dtype="uint16") & most
    gray = gray.astype("uint16" if bits == 16 else "uint8")
    tiff(gray, photometric=0, bits=bits if bits < 8 else None)(tmp_path / "a.tif")
    assert np.array_equal(read_image(tmp_path / "a.tif"), (most - gray) * (1 if bits == 16 else 255 // most))


@pytest.mark.parametrize("channels", [2, 4])
def test_sixteen_bits_with_opacity(tmp_path, channels):
    deep = pixels(6, 8, channels, dtype="uint16")
    deep[..., -1] = 65535
    path = tmp_path / "a.png"
    deep_png(deep)(path)
    assert np.array_equal(read_image(path), deep[..., :-1])
    deep[2, 3, -1] = 65534
    deep_png(deep)(path)
    with pytest.raises(ImageError, match=r"a\.png' must be opaque: .* Received: transparent pixels"):
        read_image(path)


def test_a_color_of_sixteen_bits_that_stands_for_transparent_is_seen(tmp_path):
    deep = pixels(6, 8, 3, dtype="uint16")
    path = tmp_path / "a.png"
    deep_png(deep, [(b"tRNS", bytes((0, 1, 0, 2, 0, 3)))])(path)
    assert np.array_equal(read_image(path), deep)
    deep_png(deep, [(b"tRNS", deep[5, 7].astype(">u2").tobytes())])(path)
    with pytest.raises(ImageError, match=r"must be opaque"):
        read_image(path)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_gray_that_stands_for_transparent_is_seen(tmp_path, bits):
    path, most = tmp_path / "a.png", 2**bits - 1
    for key, unused in ((1, 0), (most - 1, most)):
        gray = np.full((4, 6, 1), unused)
        # Of what stands beyond the bits of a pixel the standard has nothing read.
        chunk = [(b"tRNS", (key if bits == 1 else key | (1 << bits) & 65535).to_bytes(2, "big"))]
        png(gray, bits, 0, chunk)(path)
        assert np.unique(read_image(path)) == (unused if bits > 8 else unused * 255 // most)
        gray[3, 5] = key
        png(gray, bits, 0, chunk)(path)
        with pytest.raises(ImageError, match=r"a\.png' must be opaque: .* Received: transparent pixels"):
            read_image(path)


def test_images_say_what_they_need(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    deep_png(pixels(6, 8, 3, dtype="uint16"))(path)
    found = builtins.__import__

    def without(name, *rest):
        if name == "imagecodecs":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="16 bits of color need imagecodecs: `pip install imagecodecs`"):
        read_image(path)
    tiff(pixels(6, 8, 3).astype("float32"))(path)
    with pytest.raises(ImportError, match="TIFFs that Pillow cannot read need imagecodecs: `pip install "):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_viewers_turn_it(tmp_path, orientation):
    seen = pixels(6, 10, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.tif"):
        for image in (seen, seen[..., 0]):
            path = saved(tmp_path, turned(image, orientation), name, exif=exif)
            assert inspect_image(path).size == (6, 10)
            np.testing.assert_array_equal(read_image(path), image.reshape(6, 10, -1))
    path = saved(tmp_path, turned(np.full((6, 10, 3), 90, np.uint8), orientation), "a.jpg", exif=exif)
    assert inspect_image(path) == ImageInfo((6, 10), True, "uint8", BYTES)
    assert read_image(path).shape == (6, 10, 3)
    deep = pixels(6, 10, 3, dtype="uint16")
    tiff(turned(deep, orientation), orientation=orientation)(path)
    np.testing.assert_array_equal(read_image(path), deep)


def test_thirty_two_bit_integers_must_fit_sixteen(tmp_path):
    path = saved(tmp_path, RAMP.astype(np.int32) * 1000, "a.tif")
    assert inspect_image(path).dtype == "uint16"
    assert read_image(path).dtype == np.uint16 and read_image(path)[5, 7, 0] == 47000
    path = saved(tmp_path, RAMP.astype(np.int32) * 10000, "b.tif")
    with pytest.raises(ValueError, match=r"b.tif' must have at most 16 bits.* values from 0 to 470000"):
        inspect_image(path)


def test_floating_point(tmp_path):
    path = saved(tmp_path, RAMP.astype(np.float32) / 8, "a.tif")
    assert inspect_image(path) == ImageInfo((6, 8), False, "float32", (0, 5.875))
    assert np.array_equal(read_image(path)[..., 0], RAMP.astype(np.float32) / 8)
    for function in (inspect_image, lambda path, value_range: read_image(path, 1, value_range)):
        with pytest.raises(ValueError, match=r"a.tif' must have values from 0 to 1, .* from 0 to 5.875"):
            function(path, (0, 1))
        nan = saved(tmp_path, np.full((2, 2), np.nan, np.float32), "n.tif")
        with pytest.raises(ValueError, match=r"n.tif' must have values from 0 to 1"):
            function(nan, (0, 1))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">u2", "float64"])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3)])
def test_numpy_files(tmp_path, dtype, shape):
    array = (100 * np.random.default_rng(0).random(shape)).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    read = read_image(tmp_path / "a.npy")
    assert read.dtype.name == (
        "float32" if array.dtype.kind == "f" else np.dtype(dtype).newbyteorder("=").name
    )
    np.testing.assert_array_equal(read, array.reshape(4, 6, -1).astype(read.dtype))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((4, 6, 4), "uint8"), r"must have shape \(height, width\) .* Received: shape \(4, 6, 4\)"),
        (np.zeros((4, 6), "uint32"), "must be a NumPy file of uint8, uint16 or floating .* uint32"),
        (np.zeros((4, 6), "int64"), "must be a NumPy file of uint8, uint16 or floating .* int64"),
        (np.array([{}]), "must be a NumPy file of uint8, .* Received: .*allow_pickle"),
    ],
)
def test_numpy_files_of_anything_else_are_refused(tmp_path, array, text):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ImageError, match=rf"a\.npy' {text}"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_numpy_files_without_an_array_are_named(tmp_path, kind):
    NO_ARRAYS[kind](tmp_path / "a.npy")
    with pytest.raises(ImageError, match=rf"a\.npy' must be a NumPy file of .* Received: .*{kind}"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff"])
def test_transparent_pixels_are_refused(tmp_path, name):
    glass = pixels(4, 4, 4)
    glass[..., 3] = 254
    path = saved(tmp_path, glass, name)
    for function in (read_image, inspect_image):
        with pytest.raises(ValueError, match=rf"{name}' must be opaque: .* Received: transparent pixels"):
            function(path)
    palette = Image.fromarray(glass[..., :3]).quantize(5)
    palette.save(tmp_path / "p.png", transparency=2)
    with pytest.raises(ImageError, match="must be opaque"):
        read_image(tmp_path / "p.png")


def test_a_preview_beside_a_photograph_is_not_looked_at(tmp_path):
    photograph, preview = (Image.fromarray(pixels(size, size, 3)) for size in (16, 8))
    photograph.save(tmp_path / "a.mpo", save_all=True, append_images=[preview])
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (16, 16, 3)
    assert inspect_image(tmp_path / "a.jpg").size == (16, 16)


def test_images_beyond_the_limit_of_pillow_are_read(tmp_path, monkeypatch):
    path, tall = saved(tmp_path, COLOR), pixels(1100, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = 3
    in_bands = [
        saved(tmp_path, tall, "tall.png"),
        saved(tmp_path, tall, "tall.tif"),
        saved(tmp_path, tall, "packed.tif", compression="tiff_lzw"),
        saved(tmp_path, tall[::-1, ::-1], "turned.tif", exif=exif),
    ]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(path), COLOR)
        assert inspect_image(path).size == (6, 8)
        for file in in_bands:
            assert np.array_equal(read_image(file), tall)
    assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", ["ä.png", "a.jpg", "a.gif", "a.tiff", "a.bmp", "a.webp"])
def test_a_cut_or_empty_file_is_one_sentence(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(pixels(64, 64, 3)).save(path)
    content = path.read_bytes()
    for length in (0, 1, 20, len(content) // 3, len(content) // 2):
        path.write_bytes(content[:length])
        for function in (read_image, inspect_image):
            with pytest.raises(
                ValueError, match=rf"{name}' must be an? (whole|image) file\. Received: "
            ) as caught:
                function(path)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_strips_do_not_cover_it_is_no_whole_file(tmp_path, bits):
    path = tmp_path / "a.tif"
    tiff(pixels(6, 8, 1, dtype=f"uint{bits}"))(path)
    content, rows = path.read_bytes(), struct.pack("<HHI2H", 257, 3, 1, 6, 0)
    assert rows in content
    path.write_bytes(content.replace(rows, struct.pack("<HHI2H", 257, 3, 1, 60_000, 0)))
    with pytest.raises(ImageError, match=r"a\.tif' must be a whole file\. Received: 6 of 60000 rows"):
        read_image(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_so_is_one_of_sixteen_bits_of_color(tmp_path):
    path = tmp_path / "a.file"
    for writer in (deep_png, tiff):
        writer(pixels(64, 64, 3, dtype="uint16"))(path)
        content = path.read_bytes()
        for length in (len(content) // 3, len(content) // 2, len(content) - 40):
            path.write_bytes(content[:length])
            with pytest.raises(ImageError, match=r"a\.file' must be an? (whole|image) file\. Received: "):
                read_image(path)


def test_garbage_in_an_image_never_says_anything_else(tmp_path):
    generator = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = []
    for form in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        with io.BytesIO() as file:
            Image.fromarray(pixels(32, 32, 3)).save(file, form, exif=exif)
            contents.append(file.getvalue())
    path = tmp_path / "a.file"
    for write in (
        deep_png(pixels(16, 16, 3, dtype="uint16")),
        tiff(pixels(16, 16, 3, dtype="uint16")),
        tiff(pixels(16, 8, 2, dtype="uint16"), [2]),
    ):
        write(path)
        contents.append(path.read_bytes())
    for content in contents:
        content = np.frombuffer(content, "uint8")
        for _ in range(60):
            broken = content.copy()
            broken[generator.integers(0, min(len(broken), 300), 4)] = generator.integers(0, 256, 4)
            path.write_bytes(broken.tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read_image(path)
                except ImageError as error:
                    assert str(error).startswith("The image ")


def test_a_folder_and_a_missing_file_are_told(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.png", tmp_path / "nowhere.jpg"):
        for function in (read_image, inspect_image):
            with pytest.raises(FileNotFoundError, match=r"An image must be an existing file\. Received: "):
                function(path)
