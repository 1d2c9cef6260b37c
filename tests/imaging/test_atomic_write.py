import concurrent.futures

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.imaging import write_label_map, write_png
from keras_wsseg.imaging.atomic_write import atomic_write

PALETTE = np.array([[10, 20, 30], [200, 0, 0]], "uint8")


def test_the_draft_has_the_suffix_of_the_file_and_takes_its_place(tmp_path):
    path = tmp_path / "a.npy"
    path.write_text("before")
    with atomic_write(path) as draft:
        assert draft.suffix == ".npy" and draft.name.startswith(".")
        draft.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert [found.name for found in tmp_path.iterdir()] == ["a.npy"]


def test_names_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("a" * 251 + ".png")
    write_label_map(path, np.zeros((2, 2), int), PALETTE)
    assert path.is_file()


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must lie in an existing folder\. Received: path=.*a\.png"):
        with atomic_write(tmp_path / "nowhere" / "a.png"):
            raise AssertionError("must not come here")
    with pytest.raises(ValueError, match=r"`path` must be a file\. Received: .* which is a folder"):
        with atomic_write(tmp_path):
            raise AssertionError("must not come here")
    (tmp_path / "a.png").write_text("before")
    with pytest.raises(OSError, match="disk full"):
        with atomic_write(tmp_path / "a.png") as draft:
            draft.write_bytes(b"half")
            raise OSError("disk full")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "before"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_label_map(path, np.zeros((2, 2), int), PALETTE),
        lambda path: write_png(path, np.zeros((2, 2, 4), "uint8")),
    ],
)
def test_an_image_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch, write):
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
        maps = [np.full((64, 64), number % 2) for number in range(40)]
        for done in [pool.submit(write_label_map, path, one, PALETTE) for one in maps]:
            done.result()
    with Image.open(path) as read:
        assert len(np.unique(np.asarray(read))) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["a.png"]
