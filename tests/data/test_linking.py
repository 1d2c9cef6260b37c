import errno
import os

import pytest

from keras_wsseg.data.linking import link_file


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"first")
    return path


def test_a_link_takes_no_room(source, tmp_path):
    link_file(source, tmp_path / "b.png")
    assert os.path.samefile(source, tmp_path / "b.png")


def test_what_is_there_is_left(source, tmp_path):
    (tmp_path / "b.png").write_bytes(b"other")
    link_file(source, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == b"other"


def test_a_relative_link_is_followed(source, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "c.png").symlink_to("a.png")
    link_file(tmp_path / "c.png", tmp_path / "deep" / "c.png")
    assert os.path.samefile(source, tmp_path / "deep" / "c.png")
    assert not (tmp_path / "deep" / "c.png").is_symlink()


def test_without_links_there_is_a_copy(source, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(os, "link", refuse)
    link_file(source, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == b"first"
    assert not os.path.samefile(source, tmp_path / "b.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
