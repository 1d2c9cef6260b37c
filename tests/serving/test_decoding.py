import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from service_cases import encoded, noise, png_of_size

from keras_wsseg.serving.decoding import decode_upload, open_upload
from keras_wsseg.serving.request_error import RequestError

MOST = 50_000


def decode(data, channels=3, value_range=(0, 255)):
    array = decode_upload(open_upload(data, MOST), channels, value_range)
    return array[..., 0] if channels == 1 else array


def file_of(image, form="PNG", **options):
    with io.BytesIO() as file:
        image.save(file, form, **options)
        return file.getvalue()


def test_jpeg_gives_what_pillow_gives():
    data = encoded(noise(), "JPEG")
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_gray_keeps_its_depth(dtype):
    image = (np.arange(6).reshape(2, 3) * (1 if dtype == "uint8" else 9000)).astype(dtype)
    value_range = (0, np.iinfo(dtype).max)
    found = decode(encoded(image), 1, value_range)
    np.testing.assert_array_equal(found, image)
    assert found.dtype == dtype
    repeated = decode(encoded(image), 3, value_range)
    np.testing.assert_array_equal(repeated, np.stack([image] * 3, -1))
    assert repeated.dtype == dtype


def test_color_becomes_its_luma_for_one_channel():
    luma = np.asarray(Image.fromarray(noise()).convert("L"))
    np.testing.assert_array_equal(decode(encoded(noise()), channels=1), luma)


def frames(form):
    one, two = Image.fromarray(noise()), Image.fromarray(noise(seed=1))
    return file_of(one, form, save_all=True, append_images=[two])


def tiff_of_frames(count):
    """A gray TIFF of one pixel to a page."""
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1))
    size = 2 + 12 * len(tags) + 4
    pages = []
    for number in range(count):
        following = 12 + (number + 1) * size if number + 1 < count else 0
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        pages.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))
    return struct.pack("<4sI4x", b"II*\0", 12) + b"".join(pages)


def test_pages_are_not_counted(monkeypatch):
    assert decode(tiff_of_frames(1)).shape == (1, 1, 3)
    read = []
    seek = TiffImagePlugin.TiffImageFile._seek
    monkeypatch.setattr(
        TiffImagePlugin.TiffImageFile, "_seek", lambda self, frame: read.append(frame) or seek(self, frame)
    )
    with pytest.raises(RequestError, match=r"must be one: .* Received: several") as refused:
        open_upload(tiff_of_frames(20_000), MOST)
    assert refused.value.status == 422
    assert max(read) == 1 and len(read) <= 4


def jpeg_of_scans(count, **options):
    """A JPEG whose last scan comes again and again."""
    whole = encoded(noise(), "JPEG", progressive=True, **options)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * (count - whole.count(b"\xff\xda") + 1) + whole[-2:]


def test_a_jpeg_of_far_too_many_scans_is_refused():
    assert decode(jpeg_of_scans(100)).shape == (24, 31, 3)
    text = r"^A JPEG file must have at most 100 scans\. Received: 101 scans$"
    with pytest.raises(RequestError, match=text) as refused:
        open_upload(jpeg_of_scans(101), MOST)
    assert refused.value.status == 422


def test_so_is_one_with_previews():
    first, preview = Image.fromarray(noise()), Image.fromarray(noise(6, 8))
    data = file_of(first, "MPO", save_all=True, append_images=[preview])
    assert open_upload(data + b"\xff\xda" * 90, MOST).format == "MPO"
    with pytest.raises(RequestError, match="at most 100 scans"):
        open_upload(data + b"\xff\xda" * 101, MOST)


def test_other_formats_may_hold_these_bytes():
    image = np.tile(np.array([0xFF, 0xDA, 0], np.uint8), (20, 20, 1))
    for form in ("TIFF", "BMP"):
        np.testing.assert_array_equal(decode(encoded(image, form)), image)


def test_a_jpeg_of_far_too_many_scans_in_a_tiff_is_refused(capfd):
    gray = encoded(noise(channels=1), "JPEG", progressive=True)
    last = gray.rindex(b"\xff\xda")
    scans = gray[:last] + gray[last:-2] * 200 + gray[-2:]
    tags = (
        *((256, 31), (257, 24), (258, 8), (259, 7), (262, 1)),
        *((273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, 24), (279, len(scans))),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<4sIH", b"II*\0", 8, len(tags))
    with pytest.raises(RequestError, match="must be a whole file") as refused:
        decode(head + entries + bytes(4) + scans)
    assert refused.value.status == 422


NO_GIF = "^The image must be a PNG, JPEG, WEBP, TIFF or BMP file. Received: another format"


@pytest.mark.parametrize(
    ("make", "status", "text"),
    [
        (lambda: b"\x00", 422, NO_GIF),
        (lambda: noise().tobytes(), 422, NO_GIF),
        (lambda: encoded(noise(), "GIF"), 422, NO_GIF),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 422, NO_GIF),
        (
            lambda: encoded(noise())[:700],
            422,
            "must be a whole file. Received: ",
        ),
        (lambda: encoded(noise(), "JPEG")[:700], 422, "must be a whole file"),
        (lambda: encoded(noise(), "TIFF")[:700], 422, "must be a whole file|another format"),
        (lambda: encoded(noise())[:20], 422, "must be a whole file|another format"),
        (lambda: png_of_size(251, 200), 413, "at most 50000 pixels. Received: 251x200 pixels"),
        (lambda: png_of_size(10_000, 10_000), 413, "at most 50000 pixels. Received: 10000x10000 pixels"),
        (lambda: png_of_size(100_000, 100_000), 413, "at most 50000 pixels. Received: 100000x100000 pixels"),
        (
            lambda: png_of_size(2**31 - 1, 2**31 - 1),
            413,
            "at most 50000 pixels. Received: 2147483647x2147483647 pixels",
        ),
        (lambda: png_of_size(20, 20), 422, "must be a whole file"),
        (lambda: png_of_size(0, 20), 422, "must be a whole file|another format"),
        (lambda: frames("TIFF"), 422, "must be one: .* Received: several"),
        (lambda: frames("WEBP"), 422, "must be one: .* Received: several"),
        (lambda: frames("PNG"), 422, "must be one: .* Received: several"),
        (lambda: file_of(Image.new("RGBA", (4, 3), (1, 2, 3, 254))), 422, "opaque: .* Received: transparent"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_is_refused(make, status, text):
    with pytest.raises(RequestError, match=text) as refused:
        decode(make())
    assert refused.value.status == status


def test_the_largest_image_passes():
    assert decode(encoded(noise(200, 250))).shape == (200, 250, 3)


@pytest.mark.filterwarnings("ignore")
def test_garbage_of_every_kind_is_refused():
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        whole = np.frombuffer(encoded(noise(), form), np.uint8)
        for _ in range(60):
            broken = whole.copy()
            places = rng.integers(0, len(whole), rng.integers(1, 40))
            broken[places] = rng.integers(0, 256, len(places))
            try:
                assert decode(broken.tobytes()).size <= 3 * MOST
            except RequestError as refusal:
                assert refusal.status in (413, 422) and "\n" not in str(refusal)
