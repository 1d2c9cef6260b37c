import os

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import check_label_map, read_label_map, voc_palette, write_label_map


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
def test_grey_sixteen_bit_and_binary_files_hold_ids(tmp_path, mode, array):
    image = Image.fromarray(array)
    assert image.mode == mode
    image.save(tmp_path / "a.png")
    read = read_label_map(tmp_path / "a.png")
    assert read.dtype == np.uint8 and np.array_equal(read, array)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_label_map(tmp_path / "a.png", np.array([[7]]))

    def fail(self, stream, **_):
        stream.write(b"half")
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
    with pytest.raises(ValueError, match=r"text.png' cannot be read. Received: "):
        read_label_map(tmp_path / "text.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match=r"colour.png' must have one channel .* Received: mode 'RGB'"):
        read_label_map(tmp_path / "colour.png")
    Image.new("L", (2, 2)).save(tmp_path / "lossy.png", format="JPEG")
    with pytest.raises(ValueError, match=r"lossy.png' must be lossless.* Received: JPEG"):
        read_label_map(tmp_path / "lossy.png")
    Image.fromarray(np.array([[300]], np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png' is not usable.* Received: ids from 300 to 300"):
        read_label_map(tmp_path / "deep.png")


def test_a_truncated_file_is_named(tmp_path):
    write_label_map(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64)))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a.png' cannot be read. Received: .*truncated"):
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
    with pytest.raises(ValueError, match=r"shape \(up to 256, 3\). Received: palette.shape=\(3,\)"):
        write_label_map(tmp_path / "a.png", labels, palette=[1, 2, 3])
    with pytest.raises(ValueError, match=r"integers from 0 to 255. Received: palette=\[\[0, 0, 256\]\]"):
        write_label_map(tmp_path / "a.png", labels, palette=[[0, 0, 256]])
    assert os.listdir(tmp_path) == []
