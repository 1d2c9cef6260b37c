import concurrent.futures

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.export.mask_files import palette_picture, write_layer_png, write_palette_png

PALETTE = np.array([[10, 20, 30], [200, 0, 0]], "uint8")


def test_numbers_and_colours_are_in_one_file(tmp_path):
    write_palette_png(tmp_path / "Maske ä.png", np.array([[0, 1, 255]]), PALETTE)
    with Image.open(tmp_path / "Maske ä.png") as read:
        assert read.mode == "P" and np.asarray(read).tolist() == [[0, 1, 255]]
        assert np.asarray(read.convert("RGB")).tolist() == [[[10, 20, 30], [200, 0, 0], [224, 224, 192]]]


def test_the_picture_that_is_written_is_there_for_others():
    picture = palette_picture(np.array([[0, 1, 255]]), PALETTE)
    assert picture.mode == "P" and np.asarray(picture).tolist() == [[0, 1, 255]]
    assert len(picture.getpalette()) == 3 * 256
    assert np.asarray(picture.convert("RGB")).tolist() == [[[10, 20, 30], [200, 0, 0], [224, 224, 192]]]


def test_a_layer_keeps_its_opacity(tmp_path):
    layer = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype="uint8")
    write_layer_png(tmp_path / "a.png", layer)
    with Image.open(tmp_path / "a.png") as read:
        assert read.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(read), layer)


def test_names_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("a" * 251 + ".png")
    write_palette_png(path, np.zeros((2, 2), int), PALETTE)
    assert path.is_file()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_palette_png(path, np.zeros((2, 2), int), PALETTE),
        lambda path: write_layer_png(path, np.zeros((2, 2, 4), "uint8")),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, write):
    with pytest.raises(FileNotFoundError, match=r"must lie in an existing folder\. Received: path=.*a\.png"):
        write(tmp_path / "nowhere" / "a.png")
    with pytest.raises(ValueError, match=r"`path` must be a file\. Received: .* which is a folder"):
        write(tmp_path)
    (tmp_path / "a.png").write_text("before")

    def fail(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "before"


def test_several_threads_may_write_one_file(tmp_path):
    path = tmp_path / "a.png"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [
            pool.submit(write_palette_png, path, np.full((64, 64), n % 2), PALETTE) for n in range(40)
        ]:
            done.result()
    with Image.open(path) as read:
        assert len(np.unique(np.asarray(read))) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["a.png"]
