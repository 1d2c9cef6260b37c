import pytest

from keras_wsseg.cli.folders import made_folders


def test_folders_stay_where_something_was_written(tmp_path):
    with made_folders(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").write_text("x")
    assert (tmp_path / "a" / "b" / "file").is_file()


def test_an_error_takes_back_what_was_made_and_nothing_else(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(KeyboardInterrupt), made_folders(tmp_path / "there" / "a" / "b"):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    with pytest.raises(ValueError, match="no"), made_folders(tmp_path / "there" / "a" / "b"):
        (tmp_path / "there" / "a" / "other").write_text("somebody else's")
        raise ValueError("no")
    assert [path.name for path in (tmp_path / "there" / "a").iterdir()] == ["other"]
