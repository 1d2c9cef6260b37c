import os

import pytest

from keras_wsseg.export.saved_model_folder import check_saved_model, replace_folder


def saved_model(path, text="old"):
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text(text)
    return path


def test_a_new_an_empty_and_a_saved_folder_may_be_written(tmp_path):
    check_saved_model(tmp_path / "new")
    check_saved_model(tmp_path)
    saved_model(tmp_path / "saved")
    (tmp_path / "saved" / "assets.extra").mkdir()
    check_saved_model(tmp_path / "saved")


def test_what_is_not_ours_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"one that contains a SavedModel .* Received: path=.* notes\.txt"):
        check_saved_model(tmp_path)
    with pytest.raises(ValueError, match=r"must be a folder for a SavedModel\. Received: .* which is a file"):
        check_saved_model(tmp_path / "notes.txt")
    beside = saved_model(tmp_path / "saved")
    (beside / "run.log").write_text("mine")
    with pytest.raises(ValueError, match=r"which holds run\.log"):
        check_saved_model(beside)
    (tmp_path / "data" / "assets").mkdir(parents=True)
    with pytest.raises(ValueError, match="which holds assets"):
        check_saved_model(tmp_path / "data")


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a SavedModel"])
def test_the_new_one_takes_the_place(tmp_path, there):
    path = tmp_path / "saved"
    if there == "an empty folder":
        path.mkdir()
    elif there == "a SavedModel":
        saved_model(path)
        (path / "saved_model.pbtxt").write_text("of the old one alone")
    (tmp_path / "temporary").mkdir()
    replace_folder(saved_model(tmp_path / "temporary" / "draft", "new"), path)
    assert sorted(entry.name for entry in path.iterdir()) == ["saved_model.pb", "variables"]
    assert (path / "saved_model.pb").read_text() == "new"


def test_the_old_one_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path = saved_model(tmp_path / "saved")
    draft = saved_model(tmp_path / "temporary" / "draft", "new")
    rename = os.rename

    def interrupted(source, target):
        if source == draft:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(draft, path)
    assert (path / "saved_model.pb").read_text() == "old"
