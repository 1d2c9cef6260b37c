import zlib

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import PADDING, UNLABELED, shorten_scribbles, simulate_clicks, write_label_map
from keras_wsseg.data import SegmentationFolder

CLASSES = ("ground", "thing", "other")


def write_image(path, array):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path):
    """Three color images with scribbles, dense labels and lists."""
    random = np.random.default_rng(0)
    for index, name in enumerate("abc"):
        write_image(
            tmp_path / "images" / f"{name}.png", random.integers(0, 256, (24, 30, 3)).astype(np.uint8)
        )
        labels = np.zeros((24, 30), np.uint8)
        labels[4:20, 6:22] = 1 + index % 2
        scribbles = np.where(random.random((24, 30)) < 0.1, labels, UNLABELED).astype(np.uint8)
        for folder, array in (("labels", labels), ("scribbles", scribbles)):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_label_map(tmp_path / folder / f"{name}.png", array)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (tmp_path / "train.txt").write_text("c\na\n\n")
    return tmp_path


def test_images_are_paired_by_name(root):
    folder = SegmentationFolder(root)
    assert folder.names == ("a", "b", "c") and len(folder) == 3
    assert (folder.num_classes, folder.class_names) == (3, CLASSES)
    assert (folder.channels, folder.value_range, folder.dtype) == (3, (0, 255), np.uint8)
    image, labels = folder.load(1)
    assert np.array_equal(image, np.asarray(Image.open(root / "images" / "b.png")))
    assert np.array_equal(labels, np.asarray(Image.open(root / "scribbles" / "b.png")))


def test_lists_choose_and_order(root):
    assert SegmentationFolder(root, split="train").names == ("c", "a")
    assert SegmentationFolder(root, names=root / "train.txt").names == ("c", "a")
    assert SegmentationFolder(root, names=str(root / "train.txt")).names == ("c", "a")
    assert SegmentationFolder(root, names=["b"]).names == ("b",)


def test_lists_may_have_the_extension(root):
    (root / "train.txt").write_text("c.png\na.JPG\n")
    assert SegmentationFolder(root, split="train").names == ("c", "a")
    assert SegmentationFolder(root, names=["b.png"]).names == ("b",)
    (root / "more.txt").write_text("b.png\n")
    assert SegmentationFolder(root, split="train", unlabeled_split="more").unlabeled.names == ("b",)
    (root / "more.txt").write_text("a.png\n")
    with pytest.raises(ValueError, match="not among the annotated images. Received: 'a'"):
        SegmentationFolder(root, split="train", unlabeled_split="more")
    for name in ("a.txt", "d.png"):
        with pytest.raises(FileNotFoundError, match=f"Received: '{name}', which has none"):
            SegmentationFolder(root, names=[name])
    with pytest.raises(ValueError, match="must name each image once. Received: 'a' twice"):
        SegmentationFolder(root, names=["a", "a.png"])
    for folder in ("images", "scribbles"):
        (root / folder / "b.png").rename(root / folder / "a.png.png")
    assert SegmentationFolder(root, names=["a.png", "a"]).names == ("a.png", "a")


def test_without_a_list_images_without_annotation_are_left_out(root):
    (root / "scribbles" / "b.png").unlink()
    assert SegmentationFolder(root).names == ("a", "c")


def test_any_folder_name_and_gray_label_files(root):
    (root / "labels").rename(root / "drawn by me")
    write_image(root / "drawn by me" / "a.png", np.full((24, 30), 2, np.uint8))
    assert (SegmentationFolder(root, "drawn by me").load(0)[1] == 2).all()


def test_class_count_from_names_argument_and_ids(root):
    assert SegmentationFolder(root, class_names=list("wxyz")).num_classes == 4
    (root / "classes.txt").unlink()
    assert SegmentationFolder(root, num_classes=7).class_names == tuple("0123456")
    assert SegmentationFolder(root).num_classes == 3


def test_ignored_ids_become_unlabeled(root):
    plain, without = (
        SegmentationFolder(root, "labels"),
        SegmentationFolder(root, "labels", ignore_values=(1,)),
    )
    assert np.array_equal(without.load(0)[1] == UNLABELED, plain.load(0)[1] == 1)
    (root / "classes.txt").write_text("ground\nthing")
    assert SegmentationFolder(root, "labels", ignore_values=[2]).num_classes == 2


def test_simulated_clicks(root):
    folder = SegmentationFolder(root, "simulated_clicks", click_size=3)
    dense = SegmentationFolder(root, "labels").load(0)[1]
    assert np.array_equal(folder.load(0)[1], simulate_clicks(dense, size=3))
    stuff = SegmentationFolder(root, "simulated_clicks", stuff_classes=("thing", 2))
    assert (stuff.load(0)[1] == 1).sum() == 1
    write_image(root / "labels" / "a.png", np.pad(np.ones((5, 5), np.uint8), ((0, 19), (0, 25))))
    stuff = SegmentationFolder(root, "simulated_clicks", stuff_classes=("thing", 2))
    assert (stuff.load(0)[1] == 0).sum() == 1 and not (stuff.load(0)[1] == 1).any()


def two_things_each(root, dtype=np.uint16):
    for name in "abc":
        numbers = np.zeros((24, 30), dtype)
        numbers[4:20, 6:14], numbers[4:20, 14:22] = 7, 1000 if dtype == np.uint16 else 200
        write_image(root / "instances" / f"{name}.png", numbers)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_instances_take_touching_things_apart(root, dtype):
    two_things_each(root, dtype)
    plain = SegmentationFolder(root, "simulated_clicks").load(0)[1]
    labels = SegmentationFolder(root, "simulated_clicks", instances="instances").load(0)[1]
    assert (plain == 1).sum() == 1 and (labels == 1).sum() == 2
    assert np.argwhere(labels == 1).tolist() == [[12, 10], [12, 18]]
    assert np.array_equal(labels == 0, plain == 0)


def test_images_of_a_list_keep_their_instances(root):
    two_things_each(root)
    write_image(root / "instances" / "a.png", np.zeros((24, 30), np.uint8))
    folder = SegmentationFolder(root, "simulated_clicks", split="train", instances="instances")
    assert folder.names == ("c", "a")
    assert [(folder.load(index)[1] == 1).sum() for index in (0, 1)] == [2, 1]


def test_instances_that_do_not_fit_are_told_before_the_first_step(root):
    def opened(**arguments):
        return SegmentationFolder(root, "simulated_clicks", instances="instances", **arguments)

    with pytest.raises(FileNotFoundError, match=r"must have a folder 'instances'\. Received: only images, "):
        opened()
    two_things_each(root)
    (root / "instances" / "b.png").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"label maps in .*labels' must have a file in .*instances'\. Received: 'b', which has none",
    ):
        opened()
    assert len(opened(names=["a"])) == 1
    write_image(root / "instances" / "b.png", np.zeros((24, 29), np.uint8))
    with pytest.raises(ValueError, match=r"map .*b\.png' must be as large as its image, 30x24\. .*: 29x24"):
        opened()
    write_image(root / "instances" / "b.png", np.zeros((24, 30, 3), np.uint8))
    with pytest.raises(ValueError, match=r"The instance map .*b\.png' must have one channel"):
        opened()


def test_simulated_scribbles_belong_to_the_name(root):
    folder = SegmentationFolder(root, "simulated_scribbles", seed=3)
    labels = folder.load(2)[1]
    drawn = labels < PADDING
    assert 0.01 < drawn.mean() < 0.35
    assert np.array_equal(labels[drawn], SegmentationFolder(root, "labels").load(2)[1][drawn])
    assert np.array_equal(
        SegmentationFolder(root, "simulated_scribbles", seed=3, split="train").load(0)[1], labels
    )
    other = SegmentationFolder(root, "simulated_scribbles", seed=4).load(2)[1]
    short = SegmentationFolder(root, "simulated_scribbles", seed=3, scribble_length=0.2, scribble_width=1)
    assert not np.array_equal(other, labels) and (short.load(2)[1] < PADDING).sum() < 0.3 * drawn.sum()


def test_drawn_scribbles_are_shortened_by_name(root):
    whole = SegmentationFolder(root)
    short = SegmentationFolder(root, scribble_length=0.3, seed=2)
    for index, name in enumerate("abc"):
        seed = (2, zlib.crc32(name.encode()))
        expected = shorten_scribbles(whole.load(index)[1], 0.3, seed)
        assert np.array_equal(short.load(index)[1], expected)
    listed = SegmentationFolder(root, scribble_length=0.3, seed=2, split="train")
    assert np.array_equal(listed.load(0)[1], short.load(2)[1])
    others = [SegmentationFolder(root, scribble_length=0.3, seed=seed).load(2)[1] for seed in range(3)]
    assert not np.array_equal(others[0], others[1])
    assert SegmentationFolder(root, scribble_length=0.3).num_classes == 3


def test_clicks_from_files_are_enlarged(root):
    (root / "clicks").mkdir()
    clicks = np.full((24, 30), UNLABELED, np.uint8)
    clicks[9, 9], clicks[20, 20] = 1, 0
    write_label_map(root / "clicks" / "a.png", clicks)
    assert (SegmentationFolder(root, "clicks").load(0)[1] == 1).sum() == 1
    assert (SegmentationFolder(root, "clicks", click_size=5).load(0)[1] == 1).sum() == 25


def test_gray_and_color(root):
    write_image(root / "images" / "a.png", np.full((24, 30), 9, np.uint8))
    mixed = SegmentationFolder(root)
    assert mixed.channels == 3 and (mixed.load(0)[0] == 9).all() and mixed.load(0)[0].shape == (24, 30, 3)
    assert SegmentationFolder(root, names="a b".split(), color_mode="grayscale").load(1)[0].shape == (
        24,
        30,
        1,
    )
    alone = SegmentationFolder(root, names=["a"])
    assert alone.channels == 1 and alone.load(0)[0].shape == (24, 30, 1)
    assert SegmentationFolder(root, names=["a"], color_mode="rgb").load(0)[0].shape == (24, 30, 3)


def test_sixteen_bits_reach_the_batches(root):
    deep = np.random.default_rng(0).integers(0, 4096, (24, 30)).astype(np.uint16)
    write_image(root / "images" / "a.png", deep)
    folder = SegmentationFolder(root, names=["a"])
    assert folder.value_range == (0, 65535) and folder.dtype == np.uint16 and folder.channels == 1
    assert np.array_equal(next(iter(folder.validation()))[0][0, ..., 0], deep)
    assert SegmentationFolder(root, names=["a"], value_range=(0, 4095)).value_range == (0, 4095)
    image, _ = next(iter(folder.train(2, 16)))
    assert image.shape == (2, 16, 16, 1) and image.numpy().max() > 3000
    with pytest.raises(ValueError, match=r"a.png' must have values from 0 to 1000, .* Received: values"):
        SegmentationFolder(root, names=["a"], value_range=(0, 1000))
    with pytest.raises(
        ValueError, match=r"must have the uint16 values of '.*a.png'. Received: uint8 in '.*b.png'"
    ):
        SegmentationFolder(root)


def test_floating_point_needs_a_range(root):
    (root / "images" / "a.png").unlink()
    write_image(root / "images" / "a.tif", np.random.default_rng(0).random((24, 30)).astype(np.float32))
    with pytest.raises(ValueError, match=r"`value_range` must be given .*a.tif'. Received: value_range=None"):
        SegmentationFolder(root, names=["a"])
    folder = SegmentationFolder(root, names=["a"], value_range=(0, 1))
    assert folder.load(0)[0].dtype == np.float32


def test_missing_folders_and_lists(root):
    with pytest.raises(FileNotFoundError, match=r"`root` must be a folder. Received: root='.*nowhere'"):
        SegmentationFolder(root / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"folder 'clicks'. Received: only images, labels, scribbles"):
        SegmentationFolder(root, "clicks")
    with pytest.raises(FileNotFoundError, match=r"The list must be an existing file. Received: '.*val.txt'"):
        SegmentationFolder(root, split="val")
    (root / "val.txt").write_text("\n \n")
    with pytest.raises(
        ValueError, match=r"The list '.*val.txt' must have .* one line. Received: an empty list"
    ):
        SegmentationFolder(root, split="val")
    (root / "val.txt").write_bytes("Äpfel".encode("latin-1"))
    with pytest.raises(ValueError, match=r"The list '.*val.txt' must be text in UTF-8, .* Received: "):
        SegmentationFolder(root, split="val")
    with pytest.raises(ValueError, match=r"`names` must have at least one name. Received: an empty list"):
        SegmentationFolder(root, names=[])
    with pytest.raises(ValueError, match=r"must not both be given. Received: split='train', names=\['a'\]"):
        SegmentationFolder(root, split="train", names=["a"])
    (root / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"empty' must hold files with .* .png, .bmp, .tif, .tiff, .npy. Received: none"
    ):
        SegmentationFolder(root, "empty")


def test_missing_files_are_named(root):
    (root / "val.txt").write_text("a\nmissing\n")
    with pytest.raises(
        FileNotFoundError, match=r"list '.*val.txt' .*'.*images'. Received: 'missing', which has none"
    ):
        SegmentationFolder(root, split="val")
    (root / "scribbles" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"`names` .*scribbles'. Received: 'b', which has none"):
        SegmentationFolder(root, names=["a", "b"])
    (root / "images" / "c.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"annotation '.*c.png' must have an image .* Received: none"):
        SegmentationFolder(root)


def test_two_files_of_one_name(root):
    write_image(root / "images" / "a.bmp", np.zeros((24, 30), np.uint8))
    with pytest.raises(ValueError, match=r"one file of each name. Received: a.bmp and a.png"):
        SegmentationFolder(root)


def test_damaged_files_are_named(root):
    whole = (root / "images" / "b.png").read_bytes()
    (root / "images" / "b.png").write_bytes(whole[:200])
    with pytest.raises(ValueError, match=r"The image '.*images.b.png' must be a whole file. Received: "):
        SegmentationFolder(root)
    (root / "images" / "b.png").write_bytes(whole)
    (root / "scribbles" / "c.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"label map '.*scribbles.c.png' must be an image file. Received: "):
        SegmentationFolder(root)


def test_size_mismatch_is_named(root):
    write_label_map(root / "scribbles" / "b.png", np.zeros((24, 31), np.uint8))
    with pytest.raises(
        ValueError, match=r"scribbles.b.png' must be as large as its image, 30x24. Received: 31x24"
    ):
        SegmentationFolder(root)


def test_ids_out_of_range_are_named(root):
    labels = np.zeros((24, 30), np.uint8)
    labels[0, :4] = 3, 253, PADDING, UNLABELED
    write_label_map(root / "labels" / "c.png", labels)
    with pytest.raises(
        ValueError, match=r"labels.c.png' must hold class ids 0 to 2, 254 or 255. Received: 3, 253"
    ):
        SegmentationFolder(root, "labels")
    assert SegmentationFolder(root, "labels", ignore_values=(3, 253)).num_classes == 3


def test_colors_instead_of_ids_are_named(root):
    write_image(root / "labels" / "a.png", np.zeros((24, 30, 3), np.uint8))
    with pytest.raises(ValueError, match=r"labels.a.png' must have one channel .* Received: mode 'RGB'"):
        SegmentationFolder(root, "labels")


def test_nothing_annotated(root):
    write_label_map(root / "scribbles" / "a.png", np.full((24, 30), UNLABELED))
    with pytest.raises(ValueError, match=r"1 files of '.*scribbles'. Received: only 254 and 255"):
        SegmentationFolder(root, names=["a"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"color_mode": "RGB"},
            r"`color_mode` must be None, \"grayscale\" or \"rgb\". Received: color_mode='RGB'",
        ),
        ({"num_classes": 4}, r"lines of '.*classes.txt', 3. Received: num_classes=4"),
        ({"num_classes": 4, "class_names": "ab"}, r"must name all 4 classes. Received: 2 names"),
        ({"class_names": ["a", "b", "a"]}, r"`class_names` must be distinct names. Received: 'a' twice"),
        ({"num_classes": 255, "class_names": "ab"}, r"from 1 to 254. Received: num_classes=255"),
        (
            {"num_classes": 2.5, "class_names": "ab"},
            r"must be an integer from 1 to 254. Received: num_classes=2.5",
        ),
        ({"num_classes": "2"}, r"must be an integer from 1 to 254. Received: num_classes='2'"),
        ({"value_range": (1, 0)}, r"two finite numbers, .* Received: value_range=\(1, 0\)"),
        ({"value_range": 255}, r"two finite numbers, .* Received: value_range=255"),
        ({"ignore_values": (256,)}, r"ids from 0 to 255. Received: ignore_values=\(256,\)"),
        ({"ignore_values": ("a", 1)}, r"ids from 0 to 255. Received: ignore_values=\('a', 1\)"),
        (
            {"ignore_values": (-1,), "values": {0: "ground"}},
            r"must hold integers of at least 0. Received: ignore_values=\(-1,\)",
        ),
        ({"ignore_values": "all"}, r"Received: ignore_values='all'"),
        ({"click_size": 3}, r"`click_size` has an effect on clicks and simulated_clicks only"),
        (
            {"annotation": "labels", "scribble_length": 0.5},
            r"`scribble_length` has an effect on scribbles and simulated_scribbles only",
        ),
        ({"scribble_length": -1}, r"`scribble_length` must be .* from 0 to 1. Received: scribble_length=-1"),
        ({"scribble_width": 1}, r"`scribble_width` has .* Received: annotation='scribbles'"),
        (
            {"seed": 1},
            r"`seed` has an effect on simulated_scribbles and with `scribble_length` or `labeled_fraction` "
            r"only. Received: seed=1, annotation='scribbles'",
        ),
        (
            {"labeled_fraction": 0},
            r"`labeled_fraction` must be a number above 0 and of at most 1. Received: labeled_fraction=0",
        ),
        ({"labeled_fraction": "1"}, r"`labeled_fraction` must be a number .* Received: labeled_fraction='1'"),
        ({"labeled_fraction": 1.5}, r"Received: labeled_fraction=1.5"),
        ({"stuff_classes": (0,)}, r"`stuff_classes` has an effect on simulated_clicks only"),
        ({"instances": "instances"}, r"`instances` has an effect on simulated_clicks only"),
        (
            {"annotation": "simulated_clicks", "click_size": 2},
            r"`click_size` must be odd. Received: click_size=2",
        ),
        ({"annotation": "simulated_clicks", "stuff_classes": ["sky"]}, r"Received: 'sky' among 3 classes"),
        (
            {"annotation": "simulated_scribbles", "scribble_length": 2},
            r"from 0 to 1. Received: scribble_length=2",
        ),
    ],
)
def test_arguments_are_checked(root, arguments, text):
    with pytest.raises(ValueError, match=text):
        SegmentationFolder(root, **arguments)


def test_hand_drawn_scribbles(real_data):
    folder = SegmentationFolder(real_data / "acdc", split="val")
    assert (len(folder), folder.num_classes, folder.channels) == (224, 4, 1)
    assert folder.class_names[3] == "LV" and folder.names[0] == "patient015_frame01_slice00"
    image, labels = next(iter(folder.train(8, 144)))
    assert image.shape == (8, 144, 144, 1) and image.numpy().max() <= 255
    values, counts = np.unique(labels, return_counts=True)
    assert set(values.tolist()) <= {0, 1, 2, 3, PADDING, UNLABELED}
    assert 0.002 < counts[values < PADDING].sum() / labels.numpy().size < 0.2


def test_street_scenes_with_simulated_clicks(real_data):
    folder = SegmentationFolder(
        real_data / "camvid", "simulated_clicks", names=["0001TP_006690"], click_size=3
    )
    assert (folder.num_classes, folder.channels) == (11, 3)
    image, labels = next(iter(folder.validation()))
    assert image.shape == (1, 264, 352, 3)
    assert 0.001 < (labels.numpy() < PADDING).mean() < 0.02


def test_palette_labels_of_mixed_sizes(real_data):
    folder = SegmentationFolder(real_data / "voc_mini", "labels", num_classes=21)
    assert len(folder) == 7
    images, labels = next(iter(folder.validation(7)))
    assert images.shape[1:3] == labels.shape[1:3] and (labels.numpy() == PADDING).any()


def masks_of(root, values, dtype=np.uint8):
    """A folder of two images with masks whose halves have the two values."""
    for name in "ab":
        mask = np.full((24, 30), values[0], dtype)
        mask[5:20, 8:25] = values[1]
        write_image(root / "masks" / f"{name}.png", mask)
    return root


@pytest.mark.parametrize("values", [(0, 255), (0, 254), (255, 1)])
@pytest.mark.parametrize("named", [False, True])
def test_masks_of_black_and_white_are_not_trained_on_silently(root, values, named):
    masks_of(root, values)
    (root / "classes.txt").unlink()
    if named:
        (root / "classes.txt").write_text("ground\ncell\n")
    advice = r"values=\{.*: 'ground', .*'cell'\}" if named else r"values=\{.*: 'background', .*'object'\}"
    with pytest.raises(ValueError, match=rf"At least two classes must be annotated in .*masks'.*{advice}"):
        SegmentationFolder(root, "masks", names=["a", "b"])


@pytest.mark.parametrize("dtype,white", [(np.uint8, 255), (np.uint8, 254), (np.uint16, 65535)])
def test_values_of_masks_are_given_a_meaning(root, dtype, white):
    masks_of(root, (0, white), dtype)
    (root / "classes.txt").unlink()
    folder = SegmentationFolder(root, "masks", values={0: "ground", white: "cell"})
    assert folder.class_names == ("ground", "cell")
    mask = (np.asarray(Image.open(root / "masks" / "a.png")) > 0).astype(np.uint8)
    assert np.array_equal(folder.load(0)[1], mask)
    (root / "classes.txt").write_text("cell\nground\n")
    swapped = SegmentationFolder(root, "masks", values={0: "ground", white: "cell"})
    assert np.array_equal(swapped.load(0)[1], 1 - mask)
    outside = SegmentationFolder(root, "masks", values={0: "ground", white: "padding"})
    assert set(np.unique(outside.load(0)[1])) == {1, PADDING}
    with pytest.raises(ValueError, match=r"must name classes, cell, ground, .* Received: 'dog'"):
        SegmentationFolder(root, "masks", values={0: "ground", white: "dog"})
    with pytest.raises(ValueError, match=rf"a.png' must hold no other values than 0, .* Received: {white}"):
        SegmentationFolder(root, "masks", values={0: "ground"})


@pytest.mark.parametrize("num_classes", ["2", 1.5, 0])
def test_the_number_of_classes_is_checked_where_nothing_names_them(root, num_classes):
    (root / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"`num_classes` must be an integer from 1 to 254. Received: num_"):
        SegmentationFolder(root, num_classes=num_classes)


def test_values_are_numbers_of_classes_where_nothing_names_them(root):
    masks_of(root, (0, 255))
    (root / "classes.txt").unlink()
    for count in (2, 3):
        folder = SegmentationFolder(root, "masks", num_classes=count, values={0: "0", 255: "1"})
        assert folder.class_names == tuple("012"[:count]) and set(np.unique(folder.load(0)[1])) == {0, 1}
    assert SegmentationFolder(root, "masks", values={0: "0", 255: "1"}).num_classes == 2
    with pytest.raises(ValueError, match=r"must be the index of its class, .* Received: values=\{0: '0'"):
        SegmentationFolder(root, "masks", values={0: "0", 255: "2"})


@pytest.mark.parametrize("border", [128, 65535])
def test_values_to_ignore_are_those_of_the_files(root, border):
    masks_of(root, (0, 255), np.uint16)
    mask = np.asarray(Image.open(root / "masks" / "a.png")).copy()
    mask[:3] = border
    write_image(root / "masks" / "a.png", mask)
    (root / "classes.txt").unlink()
    values = {0: "ground", 255: "cell"}
    for named in (values, {**values, border: "padding"}):
        labels = SegmentationFolder(root, "masks", values=named, ignore_values=border).load(0)[1]
        assert (labels[:3] == UNLABELED).all() and set(np.unique(labels[3:])) == {0, 1}
    # No class 1, into which `values` translates, but a value that no file has.
    kept = SegmentationFolder(root, "masks", values={**values, border: "padding"}, ignore_values=1)
    assert set(np.unique(kept.load(0)[1])) == {0, 1, PADDING}


def test_one_class_among_unlabeled_pixels_is_refused_beside_values(root):
    masks_of(root, (0, 255))
    with pytest.raises(
        ValueError, match=r"two classes must be annotated in the 2 .*masks'. Received: 0 on .* of the pixels$"
    ):
        SegmentationFolder(root, "masks", values={0: "ground", 255: "unlabeled"})
    masks_of(root, (0, 0))
    assert not SegmentationFolder(root, "masks", values={0: "ground", 255: "thing"}).load(0)[1].any()


def test_a_gap_in_the_ids_is_told_where_nothing_explains_it(root, caplog):
    masks_of(root, (0, 7))
    (root / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"must be 0, 1, 2 … without a gap .* 0 on 64.6 %, 7 on 35.4 %"):
        SegmentationFolder(root, "masks")
    assert SegmentationFolder(root, "masks", num_classes=9).num_classes == 9
    assert "no pixel of the label maps in" in caplog.text and "has class 1, 2, 3, 4, 5, 6, 8:" in caplog.text


def test_a_named_class_without_a_pixel_is_told(root, caplog):
    (root / "classes.txt").write_text("ground\nthing\nother\nnever\n")
    SegmentationFolder(root)
    assert f"no pixel of the label maps in {root / 'scribbles'} has class never: " in caplog.text


def test_dense_labels_may_show_one_class_alone(root):
    for name in "abc":
        write_image(root / "labels" / f"{name}.png", np.zeros((24, 30), np.uint8))
    assert SegmentationFolder(root, "labels").num_classes == 3


def test_label_maps_of_different_depths_are_refused(root):
    masks_of(root, (0, 1))
    Image.fromarray(np.eye(24, 30) > 0).save(root / "masks" / "b.png")
    with pytest.raises(ValueError, match=r"must have the 8 bits per pixel of .*a.png'.* 1 in .*b.png'"):
        SegmentationFolder(root, "masks")


def test_each_file_is_turned_by_its_own_tag(root):
    upright = SegmentationFolder(root).load(0)
    for folder, orientation in (("images", 6), ("scribbles", 3)):
        file = root / folder / "a.png"
        with Image.open(file) as image:
            stored = image.rotate({6: 90, 3: 180}[orientation], expand=True)
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(file, exif=exif)
    for before, after in zip(upright, SegmentationFolder(root).load(0), strict=True):
        assert np.array_equal(before, after)


def test_twelve_bits_in_sixteen_are_told_with_a_proposal(root, caplog):
    for name in "abc":
        deep = np.random.default_rng(0).integers(0, 4000, (24, 30)).astype(np.uint16)
        write_image(root / "images" / f"{name}.png", deep)
    folder = SegmentationFolder(root)
    assert folder.value_range == (0, 65535)
    assert "value_range=(0, 4095) in Python, --value-range=0,4095" in caplog.text
    caplog.clear()
    assert SegmentationFolder(root, value_range=(0, 4095)).value_range == (0, 4095)
    assert not caplog.records


def test_floating_point_is_told_with_a_proposal_that_holds_them(root, caplog):
    for index, name in enumerate("abc"):
        (root / "images" / f"{name}.png").unlink()
        np.save(
            root / "images" / f"{name}.npy",
            np.linspace(-1234.5641, -1000 + index, 720, dtype="f4").reshape(24, 30),
        )
    SegmentationFolder(root, value_range=(-1e6, 1e6))
    assert "value_range=(-1235, -998) in Python, --value-range=-1235,-998 on" in caplog.text
    assert SegmentationFolder(root, value_range=(-1235, -998)).value_range == (-1235, -998)
    caplog.clear()
    for name in "abc":
        np.save(root / "images" / f"{name}.npy", np.full((24, 30), 0.5, "f4"))
    SegmentationFolder(root, value_range=(0, 1))
    assert "value_range=(LOW, HIGH) in Python, --value-range=LOW,HIGH on" in caplog.text


def test_eight_bits_are_brought_to_another_range(root):
    folder = SegmentationFolder(root, value_range=(0, 1))
    assert folder.dtype == np.float32
    stored = np.asarray(Image.open(root / "images" / "a.png"))
    np.testing.assert_allclose(folder.load(0)[0], stored / 255, rtol=1e-6)
    images, _ = next(iter(folder.train(2, 8)))
    assert images.numpy().max() <= 1
