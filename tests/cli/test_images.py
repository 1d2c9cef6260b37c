import pathlib

import pytest

from keras_wsseg.cli.images import check_out, find_images


@pytest.fixture
def tree(tmp_path):
    """Images in a folder and below it, among files that are none."""
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "sub/c.tif", "sub/deep/a.png", ".git/d.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "folder.png").mkdir()
    return tmp_path / "in"


def found(*arguments, **options):
    return {str(place): path.name for path, place in find_images(*arguments, **options).items()}


def test_a_folder_gives_its_images_in_order(tree):
    assert list(found([str(tree)]).items()) == [("a", "a.JPG"), ("b", "b.png")]


def test_recursion_keeps_the_folders(tree):
    expected = {"a": "a.JPG", "b": "b.png", "sub/c": "c.tif", "sub/deep/a": "a.png"}
    assert found([str(tree)], recursive=True) == expected


def test_masks_within_the_folder_are_left_out(tree):
    out = tree / "sub" / "deep"
    assert "sub/deep/a" not in found([str(tree)], recursive=True, leave_out=out)
    assert found([str(tree)], recursive=True, leave_out=tree) == found([str(tree)], recursive=True)


def test_suffixes_are_those_of_folders_alone(tree):
    assert found([str(tree)], suffixes=(".txt",)) == {"notes": "notes.txt"}
    assert found([str(tree / "notes.txt")]) == {"notes": "notes.txt"}


def test_patterns_and_files_lie_flat_and_count_once(tree):
    inputs = [str(tree / "b.png"), str(tree / "**" / "c.*"), str(tree / "sub" / ".." / "b.png")]
    assert list(found(inputs).items()) == [("b", "b.png"), ("c", "c.tif")]


def test_what_means_no_image_is_told(tree):
    (tree / "empty" / "sub").mkdir(parents=True)
    (tree / "empty" / "sub" / "a.png").touch()
    with pytest.raises(FileNotFoundError, match=r"at least one \(folders within it: --recursive\)"):
        find_images([str(tree / "empty")])
    with pytest.raises(FileNotFoundError, match="hold at least one. Received"):
        find_images([str(tree / "sub" / "deep")], recursive=True, suffixes=(".bmp",))
    with pytest.raises(FileNotFoundError, match="must be an image, a folder or a pattern"):
        find_images([str(tree / "x*.png")])


def test_two_images_never_share_a_mask(tree, tmp_path):
    images = find_images([str(tree)], recursive=True)
    check_out(tmp_path / "out", images, "masks", ("overlay",))
    with pytest.raises(ValueError, match="must differ in name, since masks are named after them"):
        check_out(tmp_path / "out", {**images, pathlib.Path("x/b.jpg"): pathlib.Path("b")}, "masks")
    clash = {pathlib.Path("x/overlay/b.jpg"): pathlib.Path("overlay/b")}
    with pytest.raises(ValueError, match=r"Received: .*b\.png and|Received: .*b\.jpg and"):
        check_out(tmp_path / "out", {**images, **clash}, "masks", ("overlay",))


@pytest.mark.parametrize("below", [".", "sub", "sub/deep"])
def test_no_image_is_overwritten_at_any_depth(tree, below):
    images = find_images([str(tree / below)], recursive=True)
    with pytest.raises(ValueError, match="--out must be another folder than that of the images"):
        check_out(tree / below, images, "masks")


def test_what_systems_keep_beside_images_is_passed_over(tree):
    for name in ("._b.png", "Thumbs.db", "__MACOSX/b.png", "sub/@eaDir/b.png/thumbnail.jpg"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    assert list(found([str(tree)], recursive=True)) == ["a", "b", "sub/c", "sub/deep/a"]


def test_inputs_are_found_in_either_form_of_their_letters(tmp_path):
    (tmp_path / "a\u0308").mkdir()
    (tmp_path / "a\u0308" / "u\u0308.png").touch()
    for text in ("\u00e4", "\u00e4/\u00fc.png", "a\u0308/\u00fc.png", "*/\u00fc.*"):
        assert found([str(tmp_path / text)]) == {"\u00fc": "u\u0308.png"}
