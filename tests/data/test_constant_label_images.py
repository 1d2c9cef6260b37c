import keras
import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import PADDING, UNLABELED, write_label_map
from keras_wsseg.data import SegmentationArrays, SegmentationFolder
from keras_wsseg.data.constant_label_images import fill
from keras_wsseg.losses import GatedCRFLoss, GaussianKernel, PartialCrossEntropy
from keras_wsseg.models import WeaklySupervisedModel


@pytest.fixture
def root(tmp_path):
    """Ten annotated images, each of one gray of its own, and four without annotation."""
    for folder in ("images", "scribbles"):
        (tmp_path / folder).mkdir()
    for index in range(14):
        Image.fromarray(np.full((16, 20), 10 * index, np.uint8)).save(
            tmp_path / "images" / f"p{index:02}.png"
        )
    for index in range(10):
        labels = np.full((16, 20), UNLABELED, np.uint8)
        labels[4, 3:12], labels[:, -2:] = index // 4, PADDING
        write_label_map(tmp_path / "scribbles" / f"p{index:02}.png", labels)
    (tmp_path / "more.txt").write_text("p13\np10\np12\np11\n")
    return tmp_path


def numbers(images):
    """Which images a batch shows."""
    return np.round(images.numpy()[:, 0, 0, 0] / 10).astype(int).tolist()


def test_a_share_keeps_its_annotation_and_the_others_go_on_without(root):
    folder = SegmentationFolder(root, labeled_fraction=0.4)
    assert len(folder) == 4 and len(folder.unlabeled) == 6
    assert sorted(folder.names + folder.unlabeled.names) == [f"p{index:02}" for index in range(10)]
    assert list(folder.names) == sorted(folder.names)
    whole = SegmentationFolder(root)
    assert whole.unlabeled is None
    for index, name in enumerate(folder.names):
        for one, two in zip(folder.load(index), whole.load(whole.names.index(name)), strict=True):
            assert np.array_equal(one, two)
    for index, name in enumerate(folder.unlabeled.names):
        image, labels = folder.unlabeled.load(index)
        assert np.array_equal(image, whole.load(whole.names.index(name))[0])
        # What is not part of the image is not, whether somebody drew on it or not.
        assert (labels[:, -2:] == PADDING).all() and (labels[:, :-2] == UNLABELED).all()


def test_shares_grow_into_each_other_and_follow_the_seed(root):
    small, large = (set(SegmentationFolder(root, labeled_fraction=share).names) for share in (0.3, 0.7))
    assert len(small) == 3 and len(large) == 7 and small < large
    assert len(SegmentationFolder(root, labeled_fraction=0.01)) == 1
    chosen = {SegmentationFolder(root, labeled_fraction=0.3, seed=seed).names for seed in range(6)}
    assert len(chosen) > 1
    assert set(SegmentationFolder(root, labeled_fraction=0.3).names) == small


def test_the_share_does_not_change_the_classes(root):
    counts = {SegmentationFolder(root, labeled_fraction=0.1, seed=seed).num_classes for seed in range(4)}
    assert counts == {3}


def test_further_images_need_no_annotation(root):
    folder = SegmentationFolder(root, unlabeled_split="more")
    assert len(folder) == 10 and folder.unlabeled.names == ("p13", "p10", "p12", "p11")
    image, labels = folder.unlabeled.load(0)
    assert (image == 130).all() and (labels == UNLABELED).all() and labels.shape == (16, 20)
    both = SegmentationFolder(root, labeled_fraction=0.5, unlabeled_split="more")
    assert len(both) == 5 and len(both.unlabeled) == 9
    assert both.unlabeled.names[-4:] == ("p13", "p10", "p12", "p11")
    assert SegmentationFolder(root, unlabeled_split="more", ignore_values=(254,)).unlabeled is not None


def test_batches_hold_both_kinds_and_an_epoch_shows_every_annotated_image(root):
    folder = SegmentationFolder(root, unlabeled_split="more")
    assert folder.steps_per_epoch(4) == 5 and folder.steps_per_epoch(4, 1) == 4
    assert folder.steps_per_epoch(4, 0) == 3
    dataset = folder.train(4, (16, 20), scale=(1, 1), unlabeled_batch=1)
    assert dataset.cardinality() == 4
    for _ in range(2):
        labeled, unlabeled = [], []
        for images, labels in dataset:
            drawn = (labels.numpy() < PADDING).any(axis=(1, 2))
            shown = np.array(numbers(images))
            assert np.array_equal(drawn, shown < 10) and drawn.sum() == 3
            labeled += shown[drawn].tolist()
            unlabeled += shown[~drawn].tolist()
        assert set(labeled) == set(range(10)) and len(labeled) == 12
        assert sorted(unlabeled) == [10, 11, 12, 13]


def test_half_of_each_batch_by_default_spread_over_it(root):
    folder = SegmentationFolder(root, unlabeled_split="more")
    for batch, expected in ((4, [0, 1, 0, 1]), (5, [0, 1, 0, 1, 0]), (2, [0, 1])):
        images, _ = next(iter(folder.train(batch, 16, scale=(1, 1))))
        assert [int(number >= 10) for number in numbers(images)] == expected
    images, _ = next(iter(folder.train(4, 16, scale=(1, 1), unlabeled_batch=3)))
    assert sum(number >= 10 for number in numbers(images)) == 3


def test_each_kind_has_a_sequence_of_its_own(root):
    def shown(dataset, steps):
        kinds = [], []
        for images, labels in dataset.take(steps):
            for image, label in zip(images.numpy(), labels.numpy(), strict=True):
                kinds[int((label >= PADDING).all())].append((image, label))
        return kinds

    folder = SegmentationFolder(root, unlabeled_split="more")
    options = {"image_size": 24, "scale": (0.8, 1.2), "repeat": True, "seed": 3}
    labeled, unlabeled = shown(folder.train(5, unlabeled_batch=3, **options), 15)
    alone = shown(folder.train(2, unlabeled_batch=0, **options), 15)[0]
    for (image, label), (same, again) in zip(labeled, alone, strict=True):
        assert np.array_equal(image, same) and np.array_equal(label, again)
    # 45 of four images: each is shown once before any is shown again, across the ends of epochs.
    gray = [int(image[label == UNLABELED].max() // 10) for image, label in unlabeled]
    passes = [gray[start : start + 4] for start in range(0, 44, 4)]
    assert all(sorted(one) == [10, 11, 12, 13] for one in passes) and len(set(map(tuple, passes))) > 2
    assert len({label.tobytes() for _, label in unlabeled}) > 30
    again = shown(folder.train(5, unlabeled_batch=3, **options), 15)[1]
    assert all(np.array_equal(one[0], two[0]) for one, two in zip(unlabeled, again, strict=True))


@pytest.mark.parametrize("repeat", [True, False])
def test_an_interrupted_training_goes_on_where_it_stopped(root, repeat):
    folder = SegmentationFolder(root, labeled_fraction=0.7, unlabeled_split="more")
    steps = folder.steps_per_epoch(4)

    def images(first_epoch, epochs):
        dataset = folder.train(4, 12, repeat=repeat, first_epoch=first_epoch)
        passes = [dataset.take(steps * epochs)] if repeat else [dataset] * epochs
        return np.concatenate([image.numpy() for one in passes for image, _ in one])

    assert np.array_equal(images(0, 4)[steps * 4 * 2 :], images(2, 2))


def test_annotation_of_unlabeled_images_never_reaches_the_batches():
    images, labels = np.zeros((3, 8, 8), np.uint8), np.ones((3, 8, 8), np.uint8)
    arrays = SegmentationArrays(images, labels)
    labels = labels.copy()
    labels[:, 0] = PADDING
    arrays.unlabeled = SegmentationArrays(images + 100, labels)
    batch, found = next(iter(arrays.train(4, 8, scale=(1, 1))))
    without = batch.numpy().max(axis=(1, 2, 3)) == 100
    assert without.sum() == 2 and set(np.unique(found.numpy()[without])) == {PADDING, UNLABELED}
    assert (found.numpy()[~without] == 1).all()
    assert (found.numpy()[without][:, 0] == PADDING).all()


def test_arrays_take_images_without_labels():
    images, labels = np.zeros((3, 8, 8, 3), np.float32), np.ones((3, 8, 8), int)
    arrays = SegmentationArrays(
        images, labels, value_range=(0, 1), unlabeled=[np.ones((9, 7, 3), np.float32)]
    )
    assert len(arrays.unlabeled) == 1 and arrays.unlabeled.num_classes == 2
    assert (arrays.unlabeled.load(0)[1] == UNLABELED).all()
    batch, found = next(iter(arrays.train(2, 6)))
    assert (found.numpy()[1] >= PADDING).all() and (
        batch.numpy()[1][found.numpy()[1] == UNLABELED] == 1
    ).all()
    for unlabeled, text in (
        ([], "`unlabeled` must hold at least one image or be None. Received: none"),
        ([images[0, 0, 0]], r"The image 'unlabeled\[0\]' must have shape"),
        ([images[0] + 2], r"The image 'unlabeled\[0\]' must lie within `value_range`"),
        (images[..., :1], "images of the same channels as the annotated ones, 3. Received: 1"),
        (
            images.astype(np.uint8),
            "images of the same dtype as the annotated ones, float32. Received: uint8",
        ),
    ):
        with pytest.raises(ValueError, match=text):
            SegmentationArrays(images, labels, value_range=(0, 1), unlabeled=unlabeled)


def test_wrong_lists_are_told(root):
    with pytest.raises(FileNotFoundError, match=r"The list must be an existing file. Received: '.*none.txt'"):
        SegmentationFolder(root, unlabeled_split="none")
    for line, text in (
        ("p03", "once, and not among the annotated images. Received: 'p03'"),
        ("p13", "once, and not among the annotated images. Received: 'p13'"),
    ):
        (root / "more.txt").write_text(f"p13\n{line}\n")
        with pytest.raises(ValueError, match=text):
            SegmentationFolder(root, unlabeled_split="more")
    (root / "more.txt").write_text("p99\n")
    with pytest.raises(FileNotFoundError, match=r"list '.*more.txt' .*images'. Received: 'p99', which has"):
        SegmentationFolder(root, unlabeled_split="more")


def test_unlabeled_images_are_checked_like_the_others(root):
    (root / "images" / "p12.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"The image '.*p12.png' must be an image file"):
        SegmentationFolder(root, unlabeled_split="more")
    Image.fromarray(np.full((16, 20), 1000, np.uint16)).save(root / "images" / "p12.png")
    with pytest.raises(ValueError, match=r"must have the uint8 values .* Received: uint16 in '.*p12.png'"):
        SegmentationFolder(root, unlabeled_split="more")
    Image.fromarray(np.full((16, 20, 3), 120, np.uint8)).save(root / "images" / "p12.png")
    folder = SegmentationFolder(root, unlabeled_split="more")
    assert folder.channels == 3 and folder.load(0)[0].shape == folder.unlabeled.load(0)[0].shape == (
        16,
        20,
        3,
    )


def test_a_share_without_any_annotated_pixel_is_told(root):
    names = set(SegmentationFolder(root, labeled_fraction=0.2).names)
    for name in names:
        write_label_map(root / "scribbles" / f"{name}.png", np.full((16, 20), UNLABELED, np.uint8))
    with pytest.raises(ValueError, match="annotated in the 2 files .* Received: only 254 and 255"):
        SegmentationFolder(root, labeled_fraction=0.2)


def test_wrong_batches_are_told(root):
    plain, mixed = SegmentationFolder(root), SegmentationFolder(root, unlabeled_split="more")
    for folder, batch, unlabeled, text in (
        (plain, 4, 2, r"needs images without annotation, in `unlabeled`. Received: unlabeled_batch=2"),
        (mixed, 4, 4, r"an integer from 0 to 3. Received: unlabeled_batch=4"),
        (mixed, 4, -1, r"Received: unlabeled_batch=-1"),
        (mixed, 4, 1.5, r"Received: unlabeled_batch=1.5"),
        (mixed, 1, None, r"`batch_size` must be at least 2 to hold .* Received: batch_size=1"),
    ):
        with pytest.raises(ValueError, match=text):
            folder.train(batch, 8, unlabeled_batch=unlabeled)
        with pytest.raises(ValueError, match=text):
            folder.steps_per_epoch(batch, unlabeled)
    mixed.unlabeled = SegmentationArrays(np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4, 4), int))
    with pytest.raises(ValueError, match="same channels as the annotated ones, 1. Received: 3"):
        mixed.train(4, 8)
    assert plain.steps_per_epoch(4, 0) == plain.steps_per_epoch(4) == 3


@pytest.mark.parametrize("value", [0, 255])
def test_filling_keeps_what_is_outside(value):
    assert fill(np.array([[0, 253], [254, 255]], np.uint8), value).tolist() == [[value] * 2, [254, value]]


def test_a_model_is_fitted_on_mixed_batches(root):
    folder = SegmentationFolder(root, labeled_fraction=0.5, unlabeled_split="more")
    keras.utils.set_random_seed(0)
    segmenter = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(3, 1),
        ]
    )
    model = WeaklySupervisedModel(segmenter)
    crf = GatedCRFLoss(weight=0.1, radius=2, kernels=GaussianKernel(sigma_xy=3, sigma_rgb=0.1))
    model.compile(keras.optimizers.Adam(0.03), PartialCrossEntropy() + crf)
    history = model.fit(folder.train(4, 12), epochs=8, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]


def test_unlabeled_images_alone_move_the_model_through_the_regularizer(root):
    folder = SegmentationFolder(root, unlabeled_split="more")
    images, labels = next(iter(folder.unlabeled.train(2, 12)))
    assert (labels.numpy() >= PADDING).all()
    segmenter = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(3, 3, padding="same")])
    before = [weight.copy() for weight in segmenter.get_weights()]
    model = WeaklySupervisedModel(segmenter)
    model.compile("sgd", PartialCrossEntropy())
    model.train_on_batch(images, labels)
    assert all(np.array_equal(a, b) for a, b in zip(before, segmenter.get_weights(), strict=True))
    model.compile("sgd", PartialCrossEntropy() + GatedCRFLoss(weight=1.0, radius=2))
    model.train_on_batch(images, labels)
    assert not np.array_equal(before[0], segmenter.get_weights()[0])


def test_a_tenth_of_real_scribbles(real_data):
    folder = SegmentationFolder(
        real_data / "acdc", split="val", labeled_fraction=0.1, scribble_length=0.5, unlabeled_split=None
    )
    assert (len(folder), len(folder.unlabeled), folder.num_classes) == (22, 202, 4)
    images, labels = next(iter(folder.train(8, 144, unlabeled_batch=6)))
    drawn = (labels.numpy() < PADDING).mean(axis=(1, 2))
    assert images.shape == (8, 144, 144, 1) and (drawn > 0).sum() == 2 and drawn.max() < 0.03
