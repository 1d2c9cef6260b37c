import os

import numpy as np
import pytest
from image_writers import NO_ARRAYS, png, tiff
from PIL import Image

from keras_wsseg.imaging import check_label_map, read_label_map, voc_palette, write_label_map
from keras_wsseg.imaging.label_map import label_image, read_instance_map, read_label_file


def test_every_id_survives_a_round_trip(tmp_path):
    labels = np.arange(256).reshape(8, 32)
    write_label_map(tmp_path / "a.png", labels)
    assert np.array_equal(read_label_map(tmp_path / "a.png"), labels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image.convert("RGB")), voc_palette()[labels])
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_short_palette_and_ids_above_it(tmp_path):
    write_label_map(tmp_path / "a.png", np.array([[0, 1, 255]], np.int64), palette=[[1, 2, 3], [4, 5, 6]])
    assert read_label_map(tmp_path / "a.png").tolist() == [[0, 1, 255]]
    assert Image.open(tmp_path / "a.png").convert("RGB").getpixel((1, 0)) == (4, 5, 6)


@pytest.mark.parametrize(
    ("mode", "array"),
    [
        ("L", np.array([[0, 3], [254, 255]], np.uint8)),
        ("I;16", np.array([[0, 3], [254, 255]], np.uint16)),
        ("1", np.array([[0, 1], [1, 0]], bool)),
    ],
)
def test_gray_sixteen_bit_and_binary_files_hold_ids(tmp_path, mode, array):
    image = Image.fromarray(array)
    assert image.mode == mode
    image.save(tmp_path / "a.png")
    read = read_label_map(tmp_path / "a.png")
    assert read.dtype == np.uint8 and np.array_equal(read, array)


def test_instances_are_numbers_of_any_depth(tmp_path):
    numbers = np.array([[0, 1], [256, 70_000]])
    Image.fromarray((numbers % 65_536).astype(np.uint16)).save(tmp_path / "a.png")
    assert np.array_equal(read_instance_map(tmp_path / "a.png"), numbers % 65_536)
    Image.fromarray(numbers.astype(np.int32)).save(tmp_path / "a.tif")
    assert np.array_equal(read_instance_map(tmp_path / "a.tif"), numbers)
    np.save(tmp_path / "a.npy", numbers)
    assert np.array_equal(read_instance_map(tmp_path / "a.npy"), numbers)
    with pytest.raises(FileNotFoundError, match=r"`path` must name an instance map\. Received: .*b\.png"):
        read_instance_map(tmp_path / "b.png")
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(ValueError, match=r"The instance map .*b\.png' must be "):
        read_instance_map(tmp_path / "b.png")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_label_map(tmp_path / "a.png", np.array([[7]]))

    def fail(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_label_map(tmp_path / "a.png", np.array([[8]]))
    monkeypatch.undo()
    assert read_label_map(tmp_path / "a.png").tolist() == [[7]]
    assert os.listdir(tmp_path) == ["a.png"]


def test_files_that_are_no_label_maps_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: path='.*none.png'"):
        read_label_map(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match=r"text.png' must be an image file. Received: "):
        read_label_map(tmp_path / "text.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "color.png")
    with pytest.raises(ValueError, match=r"color.png' must have one channel .* Received: mode 'RGB'"):
        read_label_map(tmp_path / "color.png")
    Image.new("L", (2, 2)).save(tmp_path / "lossy.png", format="JPEG")
    with pytest.raises(ValueError, match=r"lossy.png' must be lossless.* Received: JPEG"):
        read_label_map(tmp_path / "lossy.png")
    Image.fromarray(np.array([[300]], np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png' is not usable.* Received: ids from 300 to 300"):
        read_label_map(tmp_path / "deep.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_files_beyond_the_limit_of_pillow_are_read(tmp_path, monkeypatch, name):
    labels = np.arange(48).reshape(6, 8).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert np.array_equal(read_label_map(tmp_path / name), labels)


def test_a_truncated_file_is_named(tmp_path):
    write_label_map(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64)))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a.png' must be a whole file. Received: .*truncated"):
        read_label_map(tmp_path / "a.png")


def test_arrays_that_are_no_label_maps():
    with pytest.raises(TypeError, match=r"`labels` must hold integers. Received: labels.dtype=float64"):
        check_label_map(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"shape \(height, width\). Received: labels.shape=\(2, 2, 1\)"):
        check_label_map(np.zeros((2, 2, 1), int))
    with pytest.raises(ValueError, match=r"shape \(height, width\). Received: labels.shape=\(0, 2\)"):
        check_label_map(np.zeros((0, 2), int))
    with pytest.raises(ValueError, match=r"ids from 0 to 255. Received: ids from -1 to 2"):
        check_label_map(np.array([[-1, 2]]))


def test_arguments_of_writing(tmp_path):
    labels = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"must end in .png. Received: path='.*a.jpg'"):
        write_label_map(tmp_path / "a.jpg", labels)
    with pytest.raises(ValueError, match=r"shape \(classes, 3\). Received: shape=\(3,\)"):
        write_label_map(tmp_path / "a.png", labels, palette=[1, 2, 3])
    with pytest.raises(ValueError, match=r"must hold values of 0 to 255. Received: 0 to 256"):
        write_label_map(tmp_path / "a.png", labels, palette=[[0, 0, 256]])
    assert os.listdir(tmp_path) == []


def test_every_file_shows_the_reserved_ids_in_one_color(tmp_path):
    for palette in (None, [[10, 20, 30], [200, 0, 0]]):
        image = label_image(np.array([[0, 1, 254, 255]]), palette)
        assert image.mode == "P" and np.asarray(image).tolist() == [[0, 1, 254, 255]]
        assert len(image.getpalette()) == 3 * 256
        shown = np.asarray(image.convert("RGB"))[0].tolist()
        assert shown == [*(palette or [[0, 0, 0], [128, 0, 0]]), voc_palette()[254].tolist(), [224, 224, 192]]


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_label_map_is_turned_by_its_own_tag(tmp_path, orientation, name):
    seen = np.arange(12).reshape(3, 4).astype(np.uint8)
    stored = {3: seen[::-1, ::-1], 6: np.rot90(seen), 8: np.rot90(seen, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif)
    assert np.array_equal(read_label_map(tmp_path / name), seen)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_of_few_bits_holds_ids_as_they_are(tmp_path, bits):
    labels = np.arange(2**bits).reshape(2, -1)
    png(labels[..., None], bits, 0)(tmp_path / "a.png")
    read, found = read_label_file(tmp_path / "a.png")
    assert found == bits and np.array_equal(read, labels)


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_ids_are_read_as_stored_whether_white_or_black_is_zero(tmp_path, bits, photometric):
    labels = np.arange(2 ** min(bits, 8)).reshape(2, -1).astype("uint16" if bits == 16 else "uint8")
    tiff(labels[..., None], photometric=photometric, bits=bits if bits < 8 else None)(tmp_path / "a.tif")
    read, found = read_label_file(tmp_path / "a.tif")
    assert found == bits and np.array_equal(read, labels)


def test_depths_are_told(tmp_path):
    for bits, labels in ((8, np.zeros((2, 2), np.uint8)), (16, np.zeros((2, 2), np.uint16))):
        Image.fromarray(labels).save(tmp_path / "a.png")
        assert read_label_file(tmp_path / "a.png")[1] == bits
    Image.fromarray(np.zeros((2, 2), np.uint8)).quantize(2).save(tmp_path / "p.png", bits=1)
    assert read_label_file(tmp_path / "p.png")[1] == 8


@pytest.mark.parametrize("array", [np.array([[0, 1], [254, 255]]), np.array([[True, False]])])
def test_numpy_files_hold_ids(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(read_label_map(tmp_path / "a.npy"), array)


def test_numpy_files_of_anything_else_are_named(tmp_path):
    for array, text in (
        (np.zeros((2, 2)), "be .* of integers"),
        (np.zeros((2, 2, 3), int), "have shape"),
    ):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ValueError, match=rf"The label map '.*a.npy' must {text}"):
            read_label_map(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_numpy_files_without_an_array_are_named(tmp_path, kind):
    NO_ARRAYS[kind](tmp_path / "a.npy")
    with pytest.raises(ValueError, match=rf"a\.npy' must be a NumPy file of .* Received: .*{kind}"):
        read_label_map(tmp_path / "a.npy")


def test_stacks_are_no_label_maps(tmp_path):
    pages = [Image.fromarray(np.full((2, 2), number, np.uint8)) for number in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"The label map '.*a.tif' must be one: .* Received: several"):
        read_label_map(tmp_path / "a.tif")


def test_values_are_given_a_meaning(tmp_path):
    Image.fromarray(np.array([[0, 65535], [9, 0]], np.uint16)).save(tmp_path / "a.png")
    read = read_label_map(tmp_path / "a.png", {0: 0, 65535: 1, 9: 255})
    assert read.dtype == np.uint8 and read.tolist() == [[0, 1], [255, 0]]
    with pytest.raises(ValueError, match=r"a.png' must hold no other values than 0, 9, .* Received: 65535"):
        read_label_map(tmp_path / "a.png", {0: 0, 9: 1})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({0: 300}, "`ids in values` must be an integer from 0 to 255. Received: ids in values=300"),
        ({0: -1}, "Received: ids in values=-1"),
        ({0: "background"}, "from 0 to 255. Received: ids in values='background'"),
        ({0: 1.7}, "Received: ids in values=1.7"),
        ({"0": 0}, "`keys of values` must be an integer of at least 0. Received: keys of values='0'"),
        ({-1: 0}, "Received: keys of values=-1"),
        ([0, 1], r"`values` must be a dict from values to ids, .* Received: values=\[0, 1\]"),
        ({}, "`values` must be a dict from values to ids, .* Received: values={}"),
    ],
)
def test_values_without_a_meaning_are_refused(tmp_path, values, text):
    write_label_map(tmp_path / "a.png", np.array([[0, 1]]))
    with pytest.raises(ValueError, match=text):
        read_label_map(tmp_path / "a.png", values)
