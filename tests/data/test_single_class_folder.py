import keras
import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import UNLABELED
from keras_wsseg.data import SegmentationArrays, SingleClassFolder
from keras_wsseg.losses import PartialCrossEntropy
from keras_wsseg.models import WeaklySupervisedModel


def flat(path, value, size=(12, 16)):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    """Seven images with the object and five without, each of one gray; one of them lies in both folders."""
    for index in range(7):
        flat(tmp_path / "horses" / f"h{index}.png", 10 * index)
    for index in range(5):
        flat(tmp_path / "streets" / f"s{index}.png", 100 + 10 * index)
    flat(tmp_path / "streets" / "h3.png", 30)
    (tmp_path / "train.txt").write_text("h5\nh1\nh2\n")
    return tmp_path


def shown(images):
    """The gray of each image of a batch, which tells which one it is."""
    return np.round(images.numpy()[:, 0, 0, 0] / 10).astype(int)


def batches(dataset, steps=None):
    arrays = [
        (images.numpy(), labels.numpy()) for images, labels in dataset.take(-1 if steps is None else steps)
    ]
    return [np.stack(kind) for kind in zip(*arrays, strict=True)]


def test_positives_are_unlabeled_and_negatives_background(root):
    folder = SingleClassFolder(root, "horses", negatives="streets", object_name="horse")
    assert (folder.num_classes, folder.class_names) == (2, ("background", "horse"))
    assert folder.names == tuple(f"h{index}" for index in range(7)) and folder.unlabeled is None
    assert (folder.channels, folder.dtype, folder.value_range) == (1, np.uint8, (0, 255))
    image, labels = folder.load(2)
    assert (image == 20).all() and image.shape == (12, 16, 1)
    assert labels.dtype == np.uint8 and labels.shape == (12, 16) and (labels == UNLABELED).all()
    image, labels = folder.negatives.load(1)
    assert (image == 110).all() and labels.shape == (12, 16) and (labels == 0).all()
    assert folder.negatives.class_names == folder.class_names


def test_the_object_has_its_name_in_normal_form(root):
    folder = SingleClassFolder(root, "horses", negatives="streets", object_name="a\u0308pfel")
    assert folder.class_names == folder.negatives.class_names == ("background", "\u00e4pfel")


def test_a_positive_is_never_a_negative(root):
    assert SingleClassFolder(root, "horses", negatives="streets").negatives.names == tuple(
        "s0 s1 s2 s3 s4".split()
    )
    # h3 is not trained on here, yet known to hold the object.
    listed = SingleClassFolder(root, "horses", negatives="streets", split="train")
    assert listed.names == ("h5", "h1", "h2") and "h3" not in listed.negatives.names


def test_several_folders_and_paths_of_each_kind(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    flat(elsewhere / "h0.png", 0)
    flat(elsewhere / "k.png", 90)
    both = SingleClassFolder(root, ["horses", elsewhere])
    assert both.names == tuple("h0 h1 h2 h3 h4 h5 h6 k".split()) and both.negatives is None
    turned = SingleClassFolder(root, positives=("streets",), negatives=(str(elsewhere), "horses"))
    assert len(turned) == 6 and turned.negatives.names == tuple("h0 h1 h2 h4 h5 h6 k".split())
    assert (turned.negatives.load(6)[0] == 90).all()


def test_names_choose_and_the_default_folder_is_images(root):
    (root / "horses").rename(root / "images")
    assert SingleClassFolder(root, names=["h6", "h0"]).names == ("h6", "h0")
    assert SingleClassFolder(root, names=["h6.png", "h0.jpg"]).names == ("h6", "h0")
    assert SingleClassFolder(root, names=root / "train.txt").names == ("h5", "h1", "h2")
    assert SingleClassFolder(root).class_names == ("background", "object")


def test_negatives_join_in_only_where_asked_for(root):
    folder = SingleClassFolder(root, "horses", negatives="streets")
    assert folder.steps_per_epoch(4) == 2 and folder.steps_per_epoch(4, negative_batch=2) == 4
    for images, labels in folder.train(4, 8, mode="resize"):
        assert (labels.numpy() == UNLABELED).all() and shown(images).max() < 7


@pytest.mark.parametrize(("batch", "negative", "expected"), [(4, 2, "0101"), (4, 1, "0010"), (5, 3, "10101")])
def test_negatives_are_spread_over_the_batch(root, batch, negative, expected):
    folder = SingleClassFolder(root, "horses", negatives="streets")
    dataset = folder.train(batch, (8, 6), mode="resize", negative_batch=negative)
    assert dataset.cardinality() == folder.steps_per_epoch(batch, negative_batch=negative)
    for images, labels in dataset:
        assert "".join(str(int(number >= 10)) for number in shown(images)) == expected
        kinds = [set(np.unique(one).tolist()) for one in labels.numpy()]
        assert kinds == [{0} if kind == "1" else {UNLABELED} for kind in expected]


def test_each_kind_is_shown_once_before_any_is_shown_again(root):
    folder = SingleClassFolder(root, "horses", negatives="streets")
    dataset = folder.train(3, 8, mode="resize", negative_batch=1)
    negatives = []
    for _ in range(5):
        numbers = np.concatenate([shown(images) for images, _ in dataset])
        assert set(numbers[numbers < 10]) == set(range(7)) and (numbers < 10).sum() == 8
        negatives += numbers[numbers >= 10].tolist()
    assert len(negatives) == 20
    passes = [negatives[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(one) == [10, 11, 12, 13, 14] for one in passes) and len(set(map(tuple, passes))) > 1


@pytest.mark.parametrize("repeat", [False, True])
def test_the_seed_repeats_the_sequence_and_it_goes_on_where_it_stopped(root, repeat):
    folder = SingleClassFolder(root, "horses", negatives="streets")

    def run(seed=3, epochs=3, **arguments):
        dataset = folder.train(
            4, 8, mode="resize", negative_batch=2, color_jitter=0.3, seed=seed, repeat=repeat, **arguments
        )
        found = batches(dataset, 4 * epochs) if repeat else [batches(dataset) for _ in range(epochs)]
        return found if repeat else [np.concatenate(kind) for kind in zip(*found, strict=True)]

    images, labels = run()
    again, same = run()
    assert np.array_equal(images, again) and np.array_equal(labels, same)
    assert not np.array_equal(images, run(seed=4)[0])
    assert not np.array_equal(images[:4], images[4:8])
    assert np.array_equal(images[8:], run(epochs=1, first_epoch=2)[0])


def test_the_positives_of_a_seed_do_not_change_with_other_negatives(root):
    for index in range(4):
        flat(root / "rooms" / f"r{index}.png", 200 + 10 * index)
    found = []
    for negatives in ("streets", ("streets", "rooms")):
        folder = SingleClassFolder(root, "horses", negatives=negatives)
        numbers = np.concatenate(
            [shown(one) for one, _ in folder.train(4, 8, mode="resize", negative_batch=1)]
        )
        found.append(numbers)
    assert np.array_equal(found[0][found[0] < 10], found[1][found[1] < 10])
    assert not np.array_equal(found[0], found[1])


def test_unlabeled_and_negative_images_beside_each_other():
    arrays = SegmentationArrays(
        np.full((6, 8, 8, 1), 50, np.uint8),
        np.ones((6, 8, 8), int),
        unlabeled=[np.full((8, 8), 100, np.uint8)],
    )
    arrays.negatives = SegmentationArrays(
        np.full((2, 8, 8, 1), 150, np.uint8), np.ones((2, 8, 8), int), num_classes=2
    )
    assert arrays.steps_per_epoch(6) == 2 and arrays.steps_per_epoch(6, negative_batch=2) == 6
    images, labels = next(iter(arrays.train(6, 8, mode="resize", unlabeled_batch=2, negative_batch=2)))
    kinds = images.numpy()[:, 0, 0, 0].tolist()
    assert kinds == [50, 100, 150, 50, 100, 150]
    # Whatever the negatives' own labels say, they hold nothing but background.
    assert labels.numpy()[:, 0, 0].tolist() == [1, UNLABELED, 0, 1, UNLABELED, 0]
    with pytest.raises(ValueError, match=r"an integer from 0 to 1. Received: neg"):
        arrays.train(4, 8, unlabeled_batch=2, negative_batch=2)
    arrays.negatives = SegmentationArrays(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8), int))
    with pytest.raises(
        ValueError, match=r"`negatives` must hold images of the same channels .*, 1. Received: 3"
    ):
        arrays.train(4, 8, negative_batch=1)


def test_wrong_batches_are_told(root):
    plain = SingleClassFolder(root, "horses")
    mixed = SingleClassFolder(root, "horses", negatives="streets")
    for folder, negative, text in (
        (
            plain,
            2,
            r"`negative_batch` needs images without object, in `negatives`. Received: negative_batch=2",
        ),
        (
            mixed,
            4,
            r"must be an integer from 0 to 3. Received: negative_batch=4",
        ),
        (mixed, -1, r"Received: negative_batch=-1"),
        (mixed, 1.5, r"Received: negative_batch=1.5"),
    ):
        with pytest.raises(ValueError, match=text):
            folder.train(4, 8, negative_batch=negative)
        with pytest.raises(ValueError, match=text):
            folder.steps_per_epoch(4, negative_batch=negative)


def test_all_files_are_read_before_training(root):
    whole = (root / "streets" / "s2.png").read_bytes()
    (root / "streets" / "s2.png").write_bytes(whole[:40])
    with pytest.raises(ValueError, match=r"The image '.*s2.png' must be an image file. Received: "):
        SingleClassFolder(root, "horses", negatives="streets")
    assert len(SingleClassFolder(root, "horses")) == 7
    (root / "streets" / "s2.png").write_bytes(whole)
    Image.fromarray(np.full((12, 16), 1000, np.uint16)).save(root / "horses" / "h4.png")
    with pytest.raises(ValueError, match=r"the uint8 values of '.*h0.png'. Received: uint16 in '.*h4.png'"):
        SingleClassFolder(root, "horses")
    scaled = SingleClassFolder(root, "streets", names=["s0"], value_range=(0, 50))
    assert scaled.dtype == np.float32 and scaled.load(0)[0].max() <= 50


def test_color_of_one_image_makes_all_color(root):
    Image.fromarray(np.full((12, 16, 3), 7, np.uint8)).save(root / "streets" / "s2.png")
    folder = SingleClassFolder(root, "horses", negatives="streets")
    assert folder.channels == folder.negatives.channels == 3
    assert folder.load(0)[0].shape == folder.negatives.load(0)[0].shape == (12, 16, 3)
    assert SingleClassFolder(root, "horses", negatives="streets", color_mode="grayscale").channels == 1


def test_files_of_one_name_must_be_one_image(root):
    flat(root / "streets" / "h3.png", 30, (12, 15))
    # A negative must not have the name of another image, whether that one is trained on or not.
    for names in (None, ["h0"]):
        with pytest.raises(
            ValueError,
            match=r"Received: '.*horses.h3.png' of 16x12 and '.*streets.h3.png' of 15x12, whose pixels",
        ):
            SingleClassFolder(root, "horses", negatives="streets", names=names)
    flat(root / "streets" / "h3.png", 31)
    with pytest.raises(ValueError, match="of 16x12 and .* of 16x12, whose pixels differ"):
        SingleClassFolder(root, ["horses", "streets"])
    (root / "streets" / "h3.png").unlink()
    flat(root / "streets" / "h3.bmp", 30)
    assert len(SingleClassFolder(root, ["horses", "streets"])) == 12


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"positives": ()},
            ValueError,
            r"`positives` must name at least one folder. Received: positives=\(\)",
        ),
        (
            {"positives": 3},
            TypeError,
            r"`positives` must be a folder or a sequence of them. Received: positives=3",
        ),
        ({"negatives": [3]}, TypeError, r"`negatives` must be a folder .* Received: negatives=\[3\]"),
        ({"positives": "cats"}, FileNotFoundError, r"a folder 'cats'. Received: only horses, streets"),
        (
            {"negatives": "/no/where"},
            FileNotFoundError,
            r"A folder of images must exist. Received: '/no/where'",
        ),
        ({"negatives": "horses"}, ValueError, r"not among the positives. Received: negatives='horses'"),
        (
            {"names": ["h9"]},
            FileNotFoundError,
            r"`names` must have a file in '.*horses'. Received: 'h9', which",
        ),
        ({"split": "val"}, FileNotFoundError, r"The list must be an existing file. Received: '.*val.txt'"),
        ({"split": "train", "names": ["h1"]}, ValueError, r"must not both be given"),
        ({"object_name": "background"}, ValueError, r"of the background. Received: object_name='background'"),
        ({"object_name": ""}, ValueError, r"Received: object_name=''"),
        (
            {"color_mode": 3},
            ValueError,
            r'`color_mode` must be None, "grayscale" or "rgb". Received: color_mode=3',
        ),
        ({"value_range": 1}, ValueError, r"two finite numbers, .* Received: value_range=1"),
    ],
)
def test_arguments_are_checked(root, arguments, error, text):
    with pytest.raises(error, match=text):
        SingleClassFolder(root, **{"positives": "horses", **arguments})


def test_a_model_is_fitted_and_learns_what_negatives_look_like(root):
    folder = SingleClassFolder(root, "horses", negatives="streets")
    keras.utils.set_random_seed(0)
    segmenter = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Rescaling(1 / 128, -0.7), keras.layers.Conv2D(2, 1)]
    )
    model = WeaklySupervisedModel(segmenter)
    model.compile(keras.optimizers.Adam(0.05), PartialCrossEntropy())
    dataset = folder.train(4, 8, mode="resize", negative_batch=2)
    history = model.fit(dataset, epochs=10, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < 0.5 * history[0]


def test_horses_without_a_label(real_data):
    folder = SingleClassFolder(real_data / "horses", split="train", object_name="horse")
    assert (len(folder), folder.channels, folder.num_classes) == (255, 3, 2)
    images, labels = next(iter(folder.train(8, 64, mode="resize", cache=False)))
    assert images.shape == (8, 64, 64, 3) and (labels.numpy() == UNLABELED).all()
    assert images.numpy().std() > 20


def test_numbered_images_of_two_kinds_are_not_taken_for_one(tmp_path):
    for index in range(2):
        flat(tmp_path / "horses" / f"{index}.png", 10 * index)
        flat(tmp_path / "streets" / f"{index}.png", 100 + 10 * index)
    (tmp_path / "train.txt").write_text("0\n")
    for split in (None, "train"):
        with pytest.raises(
            ValueError, match="Files of the same name in several folders must be the same image"
        ):
            SingleClassFolder(tmp_path, "horses", negatives="streets", split=split)


def test_an_image_is_named_once(root):
    with pytest.raises(ValueError, match="`names` must name each image once. Received: 'h1' twice"):
        SingleClassFolder(root, "horses", names=("h1", "h0", "h1"))
