import os
import unicodedata

import pytest

from keras_wsseg.imaging.file_names import (
    image_name,
    is_hidden,
    normal_name,
    path_on_disk,
    without_image_suffix,
)

COMPOSED = "\u00c4pfel"
APART = unicodedata.normalize("NFD", COMPOSED)


def test_two_forms_are_one_name():
    assert normal_name(APART) == normal_name(COMPOSED) == COMPOSED != APART
    assert image_name(f"a.b/{APART}.v1.png") == f"{COMPOSED}.v1"


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.JPEG", "a"), ("a.npy", "a"), ("v1.2", "v1.2"), (".png", ".png"), ("a.txt", "a.txt")],
)
def test_only_suffixes_of_images_are_taken_off(name, stem):
    assert without_image_suffix(name) == stem


@pytest.mark.parametrize("name", ["._a.png", ".DS_Store", "__MACOSX", "@eaDir"])
def test_what_systems_keep_is_hidden(name):
    assert is_hidden(name) and not is_hidden(f"a{name}")


@pytest.mark.parametrize(("there", "typed"), [(APART, COMPOSED), (COMPOSED, APART)])
def test_paths_are_found_in_either_form(tmp_path, monkeypatch, there, typed):
    (tmp_path / there / "deep").mkdir(parents=True)
    (tmp_path / there / "deep" / f"{there}.png").touch()
    found = path_on_disk(tmp_path / typed / "deep" / f"{typed}.png")
    assert found == tmp_path / there / "deep" / f"{there}.png"
    monkeypatch.chdir(tmp_path)
    assert os.listdir(path_on_disk(typed)) == ["deep"]
    assert str(path_on_disk(tmp_path / "no" / typed)) == str(tmp_path / "no" / typed)
    (tmp_path / typed).mkdir()
    assert str(path_on_disk(typed)) == typed
