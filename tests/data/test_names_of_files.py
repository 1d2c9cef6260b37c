"""Names that are written in two forms, of which archives made on macOS hold the other one than lists do."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import multi_hot, read_tags, write_tags
from keras_wsseg.cli.images import check_out, find_images
from keras_wsseg.data import ClassFolders, SegmentationFolder, SingleClassFolder, TagFolder

COMPOSED = "\u00c4pfel"
APART = unicodedata.normalize("NFD", COMPOSED)


def image(path, most=200):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, most, (6, 8)).astype(np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    assert COMPOSED != APART
    image(tmp_path / "images" / f"{APART}.png")
    image(tmp_path / "scribbles" / f"{COMPOSED}.png", most=2)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("form", [COMPOSED, APART])
def test_lists_and_annotations_find_their_image(root, form, encoding):
    (root / "train.txt").write_text(f"{form}\n", encoding=encoding)
    folder = SegmentationFolder(root, split="train")
    assert folder.names == (COMPOSED,) and folder.load(0)[1].max() == 1
    assert SegmentationFolder(root, names=[form]).names == (COMPOSED,)
    assert SingleClassFolder(root, split="train").names == (COMPOSED,)


@pytest.mark.parametrize("form", [COMPOSED, APART])
def test_classes_are_compared_in_one_form(root, form):
    (root / "classes.txt").write_text(f"background\n{form}\n")
    other = APART if form == COMPOSED else COMPOSED
    folder = SegmentationFolder(root, values={0: "background", 1: other})
    assert folder.class_names == ("background", COMPOSED)
    image(root / "labels" / f"{APART}.png", most=2)
    SegmentationFolder(root, "simulated_clicks", stuff_classes=[other])


@pytest.mark.parametrize("form", [COMPOSED, APART])
def test_tags_find_their_image_and_class(root, form):
    write_tags(root / "tags.csv", {form: (form,)})
    (root / "classes.txt").write_text(f"background\n{APART}\n")
    folder = TagFolder(root)
    assert folder.names == (COMPOSED,) and folder.tags.tolist() == [[1, 1]]


def test_folders_of_classes_have_the_names_of_the_list(tmp_path):
    for name in (f"positives/{APART}/a.png", "positives/dog/b.png"):
        image(tmp_path / name)
    (tmp_path / "classes.txt").write_text(f"dog\n{COMPOSED}\n")
    folders = ClassFolders(tmp_path)
    assert folders.class_names == ("dog", COMPOSED)
    assert folders.of_class(COMPOSED).names == ("a",)
    (tmp_path / "classes.txt").write_text(f"background\ndog\n{COMPOSED}\n")
    tags = TagFolder(tmp_path / "positives", "folders", class_names=("background", COMPOSED))
    assert tags.names == ("a",)


def test_two_forms_of_one_name_are_two_files_of_it(root):
    image(root / "images" / f"{COMPOSED}.png")
    with pytest.raises(ValueError, match="must have one file of each name"):
        SegmentationFolder(root)


def test_masks_are_named_in_one_form(root):
    found = find_images([str(root / "images")])
    assert [str(place) for place in found.values()] == [COMPOSED]
    image(root / "images" / f"{COMPOSED}.jpg")
    with pytest.raises(ValueError, match="Images must differ in name"):
        check_out(root / "out", find_images([str(root / "images")]), "masks")


def test_droppings_of_systems_are_passed_over(root):
    for name in (f"._{APART}.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "images" / name).write_bytes(b"nothing")
        (root / "scribbles" / name).write_bytes(b"nothing")
    assert SegmentationFolder(root).names == (COMPOSED,)


def test_lossy_label_maps_are_named(root):
    image(root / "images" / "b.png")
    image(root / "scribbles" / "b.jpg")
    with pytest.raises(ValueError, match=r"since JPEG and WebP alter ids. Received: b.jpg"):
        SegmentationFolder(root)


@pytest.mark.parametrize("form", [COMPOSED, APART])
def test_folders_and_lists_are_found_by_their_name(tmp_path, form):
    for name in (f"{APART}/{APART}/a.png", "images/a.png", f"{APART}/dog/b.png"):
        image(tmp_path / name)
    image(tmp_path / f"{APART}s" / "a.png", most=2)
    (tmp_path / f"{APART}.txt").write_text("a\n")
    assert SingleClassFolder(tmp_path, f"{form}/{form}", f"{form}/dog").names == ("a",)
    assert SegmentationFolder(tmp_path, f"{form}s", split=form).names == ("a",)
    assert ClassFolders(tmp_path, form).of_class(form).names == ("a",)
    assert TagFolder(tmp_path / APART, "folders", class_names=("background", form)).names == ("a",)


@pytest.mark.parametrize("form", [COMPOSED, APART])
def test_classes_named_in_python_are_compared_in_one_form(root, form):
    other = APART if form == COMPOSED else COMPOSED
    write_tags(root / "tags.csv", {COMPOSED: (form,)})
    assert read_tags(root / "tags.csv", ("background", other))[0] == {COMPOSED: (COMPOSED,)}
    assert multi_hot([form], ("background", other)).tolist() == [1, 1]
    assert TagFolder(root, class_names=("background", other)).class_names == ("background", COMPOSED)
    image(root / "labels" / f"{APART}.png", most=2)
    named = {"class_names": ("background", form), "stuff_classes": [other]}
    assert SegmentationFolder(root, "simulated_clicks", **named).class_names == ("background", COMPOSED)


def test_two_forms_of_one_class_are_refused(tmp_path):
    for name in (APART, COMPOSED, "dog"):
        image(tmp_path / "positives" / name / "a.png")
    with pytest.raises(
        ValueError, match=f"one folder for each class. Received: two of the name '{COMPOSED}'"
    ):
        ClassFolders(tmp_path)
    with pytest.raises(ValueError, match="must be distinct names"):
        TagFolder(tmp_path / "positives", "folders")


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", ".git"])
def test_folders_of_systems_are_no_classes(tmp_path, name):
    for folder in ("cat", "dog", name):
        image(tmp_path / "positives" / folder / f"{folder}.png")
    assert ClassFolders(tmp_path).class_names == ("cat", "dog")
    assert TagFolder(tmp_path / "positives", "folders").class_names == ("background", "cat", "dog")
