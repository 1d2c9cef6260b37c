import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg.annotations import PADDING, UNLABELED
from keras_wsseg.data import SegmentationArrays
from keras_wsseg.data.pipeline import augment
from keras_wsseg.data.train_settings import TrainSettings


def coordinates(count=5, height=20, width=26):
    """Images whose values tell where they come from: row, column and number."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    images = [np.stack([rows, columns, np.full_like(rows, i)], axis=-1) for i in range(count)]
    labels = [(rows.astype(int) // 5) * 4 + columns.astype(int) // 7 for _ in range(count)]
    return SegmentationArrays(images, labels, num_classes=16, value_range=(0, 100))


def every(dataset):
    batches = [(image.numpy(), labels.numpy()) for image, labels in dataset]
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


@pytest.mark.parametrize("scale", [(0.5, 0.7), (1, 1), (1.3, 2.0)])
def test_image_and_labels_move_together(scale):
    source = coordinates()
    images, labels = every(source.train(5, (16, 12), scale=scale))
    inside = labels != PADDING
    row, column = images[..., 0], images[..., 1]
    # Away from the edges of the label cells, the image itself says which label is right.
    clear = inside & (np.abs((row + 0.5) % 5 - 2.5) < 1.4) & (np.abs((column + 0.5) % 7 - 3.5) < 2.4)
    expected = ((row + 0.5) // 5) * 4 + (column + 0.5) // 7
    assert clear.sum() > 200
    assert np.array_equal(labels[clear], expected[clear].astype(int))
    assert (images[~inside] == 50).all()


def test_outside_is_exactly_what_lies_beyond_the_image():
    source = coordinates(1, 10, 12)
    images, labels = every(source.train(1, 32, scale=(1, 1), flip=False, seed=4))
    rows, columns = np.nonzero(labels[0] != PADDING)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (10, 12, 120)
    window = images[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_allclose(window, source.load(0)[0], atol=1e-4)
    images, labels = every(source.train(1, 10, scale=(1, 1)))
    assert not (labels == PADDING).any()


def test_scale_crop_and_flip_vary_over_their_range():
    source = SegmentationArrays([np.zeros((20, 20), np.uint8)], [np.zeros((20, 20), int)], num_classes=1)
    _, labels = every(source.train(200, 64, scale=(0.5, 2)))
    side = np.sqrt((labels == 0).sum(axis=(1, 2)))
    assert side.min() < 12 and side.max() > 38 and 23 < side.mean() < 27
    first = [np.argwhere(one == 0).min(axis=0) for one in labels]
    assert np.ptp([row for row, _ in first]) > 30 and np.ptp([column for _, column in first]) > 30
    images, _ = every(coordinates(1).train(100, (20, 26), scale=(1, 1)))
    mirrored = (images[:, 0, 0, 1] > images[:, 0, -1, 1]).mean()
    assert 0.3 < mirrored < 0.7
    images, _ = every(coordinates(1).train(20, (20, 26), scale=(1, 1), flip=False))
    assert (images[:, 0, 0, 1] < images[:, 0, -1, 1]).all()


@pytest.mark.parametrize("low", [0.25, 0.5, 0.8])
def test_no_click_is_lost(low):
    labels = np.full((1, 33, 41), UNLABELED)
    labels[0, 2::8, 3::9] = np.arange(20).reshape(4, 5)
    source = SegmentationArrays(np.zeros((1, 33, 41), np.uint8), labels, num_classes=20)
    _, found = every(source.train(60, 64, scale=(low, 1.0)))
    assert all(set(range(20)) <= set(np.unique(one).tolist()) for one in found)


def test_whole_images_fill_the_batch_whatever_their_shape():
    images = [np.full(size, value, np.uint8) for size, value in (((9, 31), 10), ((40, 5), 90))]
    for image in images:
        image[:, image.shape[1] // 2 :] += 100
    labels = [np.where(image >= 100, 1, 0) for image in images]
    labels[0][0] = PADDING
    source = SegmentationArrays(images, labels)
    batch, found = every(source.train(2, (12, 10), mode="resize", flip=False, shuffle=False))
    assert batch.shape == (2, 12, 10, 1) and found.shape == (2, 12, 10)
    assert (found[0, 0] == PADDING).all() and not (found[0, 2:] == PADDING).any()
    assert not (found[1] == PADDING).any()
    for shown, label, value in zip(batch, found, (10, 90), strict=True):
        assert (label[2:, :4] == 0).all() and (label[2:, 6:] == 1).all()
        np.testing.assert_allclose(shown[:, [0, -1], 0], np.tile([value, value + 100], (12, 1)), rtol=1e-6)


def test_whole_images_flip_and_change_color_alone():
    images, labels = every(coordinates(1).train(60, (20, 26), mode="resize", seed=3))
    plain, straight = coordinates(1).load(0)[0], coordinates(1).load(0)[1]
    mirrored = images[:, 0, 0, 1] > images[:, 0, -1, 1]
    assert 0.3 < mirrored.mean() < 0.7
    for image, label, turned in zip(images, labels, mirrored, strict=True):
        np.testing.assert_allclose(image, plain[:, ::-1] if turned else plain, atol=1e-4)
        assert np.array_equal(label, straight[:, ::-1] if turned else straight)
    again, _ = every(coordinates(1).train(60, (20, 26), mode="resize", seed=3))
    assert np.array_equal(images, again)
    straight, _ = every(coordinates(1).train(9, (20, 26), mode="resize", flip=False))
    assert (straight == straight[0]).all()
    colored, same = every(coordinates(1).train(60, (20, 26), mode="resize", seed=3, color_jitter=0.4))
    assert np.array_equal(labels, same) and colored.mean(axis=(1, 2, 3)).std() > 3
    assert colored.min() >= 0 and colored.max() <= 100


def test_whole_images_are_antialiased_and_stay_in_their_range():
    fine = np.zeros((64, 64), np.uint8)
    fine[::2] = 255
    source = SegmentationArrays([fine, np.full((64, 64), 255, np.uint8)], np.zeros((2, 64, 64), int))
    images, _ = every(source.train(2, 13, mode="resize", shuffle=False))
    assert np.abs(images[0] - 127.5).max() < 30 and images.max() <= 255
    np.testing.assert_allclose(images[1], 255, rtol=1e-6)


@pytest.mark.parametrize("ratio", [0.2, 0.7, 1.5])
@pytest.mark.parametrize("other", [0.3, 1.0, 2.0])
def test_no_click_is_lost_in_whole_images(ratio, other):
    labels = np.full((1, 41, 50), UNLABELED)
    labels[0, 3::8, 3::9] = np.arange(30).reshape(5, 6)
    source = SegmentationArrays(np.zeros((1, 41, 50), np.uint8), labels, num_classes=30)
    for size in (int(41 * ratio), int(50 * other)), (int(41 * other), int(50 * ratio)):
        _, found = every(source.train(2, size, mode="resize", seed=1))
        assert all(set(range(30)) | {UNLABELED} == set(np.unique(one).tolist()) for one in found)


def test_the_seed_repeats_the_sequence_and_epochs_differ():
    def epochs(seed, **arguments):
        dataset = coordinates().train(2, 8, seed=seed, **arguments)
        return [every(dataset) for _ in range(3)]

    one, two, other = epochs(5), epochs(5), epochs(6)
    for (image, labels), (again, same) in zip(one, two, strict=True):
        assert np.array_equal(image, again) and np.array_equal(labels, same)
    assert not np.array_equal(one[0][0], one[1][0])
    assert not np.array_equal(one[0][0], other[0][0])
    later = epochs(5, first_epoch=2)
    assert np.array_equal(later[0][0], one[2][0])


def test_an_epoch_shows_every_image_in_full_batches():
    dataset = coordinates(7).train(3, (20, 26), scale=(1, 1))
    assert dataset.cardinality() == 3
    assert dataset.element_spec[0].shape == (3, 20, 26, 3) and dataset.element_spec[1].shape == (3, 20, 26)
    orders = []
    for _ in range(2):
        images, _ = every(dataset)
        orders.append(np.round(images[:, 0, 0, 2]).astype(int).tolist())
    assert all(sorted(order[:7]) == list(range(7)) and len(order) == 9 for order in orders)
    assert orders[0] != orders[1]
    images, _ = every(coordinates(3).train(4, (20, 26), scale=(1, 1), shuffle=False))
    assert np.round(images[:, 0, 0, 2]).astype(int).tolist() == [0, 1, 2, 0]


def test_repeat_never_ends_and_repeats_by_seed():
    dataset = coordinates(3).train(3, (20, 26), scale=(1, 1), repeat=True)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    images, _ = every(dataset.take(4))
    order = np.round(images[:, 0, 0, 2]).astype(int).reshape(4, 3)
    assert (np.sort(order, axis=1) == [0, 1, 2]).all() and len(np.unique(order, axis=0)) > 1
    again, _ = every(coordinates(3).train(3, (20, 26), scale=(1, 1), repeat=True).take(4))
    assert np.array_equal(images, again)
    assert not np.array_equal(every(dataset.take(4))[0], images)


def test_decoded_images_are_kept_only_where_asked_for():
    source = coordinates(3)
    loaded = []
    original = source.load
    source.load = lambda index: loaded.append(index) or original(index)
    dataset = source.train(3, 8, cache=True)
    every(dataset), every(dataset)
    assert sorted(loaded) == [0, 1, 2]
    loaded.clear()
    every(source.train(3, 8, cache=False)), every(source.validation(3, cache=False))
    assert sorted(loaded) == [0, 0, 1, 1, 2, 2]


def test_colors_change_within_the_range_and_not_outside():
    images = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3)).astype(np.uint8)
    source = SegmentationArrays(images, np.zeros((1, 12, 12), int), num_classes=1)
    plain, labels = every(source.train(30, 16, scale=(1, 1), seed=2))
    changed, same = every(source.train(30, 16, scale=(1, 1), seed=2, color_jitter=0.3))
    assert np.array_equal(labels, same)
    outside = labels == PADDING
    assert (changed[outside] == 127.5).all() and outside.any()
    assert changed.min() >= 0 and changed.max() <= 255
    means = np.array([image[~out].mean() for image, out in zip(changed, outside, strict=True)])
    assert 15 < means.std() < 60
    assert np.array_equal(plain, every(source.train(30, 16, scale=(1, 1), seed=2))[0])


def test_strongest_draws_stay_inside():
    settings = TrainSettings(1, (4, 4), color_jitter=0.9)
    for extreme in (0.0, np.nextafter(np.float32(1), np.float32(0))):
        image, labels = augment(
            tf.ones((9, 9, 1), tf.uint8),
            tf.zeros((9, 9), tf.uint8),
            tf.fill((7,), tf.constant(extreme, tf.float32)),
            (0, 255),
            settings,
        )
        assert (labels.numpy() == 0).all() and np.isfinite(image).all()


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
def test_integer_types_keep_their_values(dtype, top):
    images = np.full((1, 6, 6), top, dtype)
    source = SegmentationArrays(images, np.zeros((1, 6, 6), int))
    image, _ = next(iter(source.train(1, 6, scale=(1, 1))))
    assert image.dtype == tf.float32 and image.shape == (1, 6, 6, 1)
    np.testing.assert_allclose(image, top, rtol=1e-6)
    np.testing.assert_array_equal(next(iter(source.validation()))[0], np.full((1, 6, 6, 1), top))


def test_validation_gives_whole_images_padded_to_the_largest():
    sizes = [(4, 9), (7, 5), (3, 3)]
    images = [np.full(size, 200, np.uint8) for size in sizes]
    labels = [np.full(size, i) for i, size in enumerate(sizes)]
    source = SegmentationArrays(images, labels)
    batches = list(source.validation(2))
    assert [tuple(batch[1].shape) for batch in batches] == [(2, 7, 9), (1, 3, 3)]
    for index, (height, width) in enumerate(sizes):
        image, label = (array.numpy()[index % 2] for array in batches[index // 2])
        assert (label[:height, :width] == index).all() and (image[:height, :width] == 200).all()
        assert (label == PADDING).sum() == label.size - height * width
        assert (image[label == PADDING] == 127.5).all()
    padded = [tuple(label.shape) for _, label in source.validation(1, pad_to_multiple=4)]
    assert padded == [(1, 4, 12), (1, 8, 8), (1, 4, 4)]
    image, label = next(iter(source.validation(1, pad_to_multiple=4)))
    assert (label.numpy() == PADDING).sum() == 12 and (image.numpy()[label.numpy() == PADDING] == 127.5).all()
    assert source.validation(2).cardinality() == 2


def test_a_model_is_fitted_and_learns_the_ground():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
    labels = (images[..., 0] > 127).astype(np.uint8)
    source = SegmentationArrays(images, labels)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(2, 1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
    model.compile(keras.optimizers.Adam(0.3), loss)
    history = model.fit(
        source.train(3, 12, scale=(1, 1)),
        epochs=10,
        validation_data=source.validation(),
        shuffle=False,
        verbose=0,
    )
    assert history.history["val_loss"][-1] < 0.5 * history.history["val_loss"][0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"batch_size": 0}, r"`batch_size` must be an integer of at least 1. Received: batch_size=0"),
        ({"image_size": 0}, r"pair \(height, width\) of them. Received: image_size=0"),
        ({"image_size": (4, 5, 6)}, r"Received: image_size=\(4, 5, 6\)"),
        ({"scale": (2, 1)}, r"0 < low <= high. Received: scale=\(2, 1\)"),
        ({"scale": 1}, r"Received: scale=1"),
        ({"scale": (0, 1)}, r"Received: scale=\(0, 1\)"),
        ({"mode": "resize", "scale": (1, 1)}, r"left at \(0.5, 2.0\) with `mode=.resize.`.* scale=\(1, 1\)"),
        ({"mode": "whole"}, r"`mode` must be one of \('crop', 'resize'\). Received: mode='whole'"),
        ({"color_jitter": 1}, r"at least 0 and below 1. Received: color_jitter=1"),
        ({"seed": -1}, r"`seed` must be an integer of at least 0. Received: seed=-1"),
        ({"first_epoch": 0.5}, r"`first_epoch` must be an integer of at least 0. Received: first_epoch=0.5"),
    ],
)
def test_arguments_of_training_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        coordinates(1).train(**{"batch_size": 1, "image_size": 4, **arguments})


def test_arguments_of_validation_are_checked():
    with pytest.raises(ValueError, match=r"Received: batch_size=0"):
        coordinates(1).validation(0)
    with pytest.raises(ValueError, match=r"Received: pad_to_multiple=-2"):
        coordinates(1).validation(1, pad_to_multiple=-2)
