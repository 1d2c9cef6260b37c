import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import UNLABELED
from keras_wsseg.data import ClassFolders, SingleClassFolder


def flat(path, value, size=(6, 8)):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    """Cats a and b, dogs b and c, an emu d, and two images of nothing."""
    for place, value in (("cat/a", 1), ("cat/b", 2), ("dog/b", 2), ("dog/c", 3), ("emu/d", 4)):
        flat(tmp_path / "positives" / f"{place}.png", value)
    (tmp_path / "positives" / ".hidden").mkdir()
    for name, value in (("x", 8), ("y", 9)):
        flat(tmp_path / "negatives" / f"{name}.png", value)
    return tmp_path


def test_the_images_of_a_class_against_all_others(root):
    folders = ClassFolders(root)
    assert folders.class_names == ("cat", "dog", "emu")
    assert (folders.channels, folders.dtype, folders.value_range) == (1, np.uint8, (0, 255))
    expected = {"cat": ("ab", "cdxy"), "dog": ("bc", "adxy"), "emu": ("d", "abcxy")}
    for name, (positives, negatives) in expected.items():
        folder = folders.of_class(name)
        assert isinstance(folder, SingleClassFolder) and folder.class_names == ("background", name)
        assert folder.names == tuple(positives) and folder.negatives.names == tuple(negatives)
    cats = folders.of_class("cat")
    for images, values, label in ((cats, [1, 2], UNLABELED), (cats.negatives, [3, 4, 8, 9], 0)):
        for index, value in enumerate(values):
            image, labels = images.load(index)
            assert (image == value).all() and (labels == label).all()


def test_batches_of_a_class(root):
    images, labels = next(
        iter(ClassFolders(root).of_class("dog").train(4, 4, mode="resize", negative_batch=2))
    )
    assert labels.numpy()[:, 0, 0].tolist() == [UNLABELED, 0, UNLABELED, 0]
    values = images.numpy()[:, 0, 0, 0].round().astype(int)
    assert set(values[::2]) == {2, 3} and set(values[1::2]) <= {1, 4, 8, 9}


def test_images_of_a_single_class(root):
    found = ClassFolders(root).single_class_images()
    assert [(name, stem) for name, stem, _ in found] == [("cat", "a"), ("dog", "c"), ("emu", "d")]
    assert [path for *_, path in found] == [
        root / "positives" / place for place in ("cat/a.png", "dog/c.png", "emu/d.png")
    ]


def test_a_list_orders_the_classes(root):
    for head in ("", "background\n"):
        (root / "classes.txt").write_text(f"{head}emu\ncat\ndog\n")
        folders = ClassFolders(root)
        assert folders.class_names == ("emu", "cat", "dog")
        assert [name for name, *_ in folders.single_class_images()] == ["emu", "cat", "dog"]
    for lines, told in (
        ("cat\ndog", "cat, dog"),
        ("cat\ndog\nemu\nfox", "cat, dog, emu, fox"),
        ("background", "none"),
    ):
        (root / "classes.txt").write_text(lines)
        with pytest.raises(
            ValueError, match=rf"each folder of '.*positives' once, cat, dog, emu. Received: {told}$"
        ):
            ClassFolders(root)


def test_other_folders(root, tmp_path_factory):
    (root / "negatives").rename(root / "nothing")
    assert ClassFolders(root).of_class("emu").negatives.names == tuple("abc")
    assert ClassFolders(root, negatives="nothing").of_class("emu").negatives.names == tuple("abcxy")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / "positives").rename(elsewhere / "tags")
    flat(root / "more" / "z.png", 7)
    folders = ClassFolders(root, positives=elsewhere / "tags", negatives=["nothing", "more"])
    assert folders.of_class("emu").negatives.names == tuple("abcxyz")
    with pytest.raises(FileNotFoundError, match="must have a folder 'rooms'. Received: only more, nothing"):
        ClassFolders(root, positives=elsewhere / "tags", negatives="rooms")


def test_one_class_without_negatives(root):
    (root / "positives").rename(root / "all")
    flat(root / "positives" / "cat" / "a.png", 1)
    assert ClassFolders(root, negatives=()).of_class("cat").negatives is None


def test_an_image_of_a_class_is_no_negative_of_it(root):
    flat(root / "negatives" / "a.png", 1)
    folders = ClassFolders(root)
    assert folders.of_class("cat").negatives.names == tuple("cdxy")
    assert folders.of_class("dog").negatives.names == tuple("adxy")


def test_every_class_has_the_channels_of_all(root):
    Image.fromarray(np.full((6, 8, 3), 5, np.uint8)).save(root / "negatives" / "x.png")
    folders = ClassFolders(root)
    assert folders.channels == 3 and folders.of_class("emu").load(0)[0].shape == (6, 8, 3)
    assert ClassFolders(root, color_mode="grayscale").of_class("emu").channels == 1


def test_wrong_folders_are_told(root):
    with pytest.raises(FileNotFoundError, match=r"`root` must be a folder. Received: root='.*nowhere'"):
        ClassFolders(root / "nowhere")
    for place in ("tags", "negatives"):
        with pytest.raises(
            FileNotFoundError, match=rf"{place}' must hold a folder for each class. Received: none"
        ):
            ClassFolders(root, positives=place)
    with pytest.raises(ValueError, match="one of the classes cat, dog, emu. Received: name='fox'"):
        ClassFolders(root).of_class("fox")
    (root / "positives" / "fox").mkdir()
    with pytest.raises(ValueError, match=r"positives.fox' must hold files with .* Received: none"):
        ClassFolders(root)
    with pytest.raises(ValueError, match=r"`color_mode` must be .* Received: color_mode='RGB'"):
        ClassFolders(root, color_mode="RGB")


def test_wrong_files_are_told(root):
    flat(root / "positives" / "dog" / "b.png", 2, (6, 9))
    with pytest.raises(
        ValueError, match=r"Received: '.*cat.b.png' of 8x6 and '.*dog.b.png' of 9x6, whose pixels"
    ):
        ClassFolders(root)
    (root / "positives" / "dog" / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"The image '.*dog.b.png' must be an image file"):
        ClassFolders(root)


def test_the_background_is_no_class(root):
    (root / "positives" / "background").mkdir()
    with pytest.raises(ValueError, match="must hold folders of objects.* Received: a folder 'background'"):
        ClassFolders(root)
