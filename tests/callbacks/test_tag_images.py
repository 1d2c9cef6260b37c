import types

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_wsseg import WeaklySupervisedModel, losses
from keras_wsseg.callbacks.tag_images import TagImages
from keras_wsseg.ops.resize import resize_bilinear
from keras_wsseg.visualization import tag_sheet

pytestmark = pytest.mark.usefixtures("eagerly")

NAMES = ["ground", "cat", "dog"]


def net(classes=3, channels=3):
    inputs = keras.Input((None, None, channels))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, keras.layers.Conv2D(classes, 1)(x))


class Mining(WeaklySupervisedModel):
    """Sees every class of the tags at the left, and labels what it is asked about on a coarser grid."""

    def mine(self, images, tags):
        assert "float32" in str(images.dtype) and "float32" in str(tags.dtype)
        maps = ops.broadcast_to(tags[:, None, None], (*ops.shape(images)[:3], 3))
        left = ops.cast(ops.arange(ops.shape(images)[2]) < 8, "float32")[:, None]
        labels = ops.full((ops.shape(images)[0], 2, 2), 255, "int32")
        return maps * left, labels * np.array([[1, 1], [1, 0]])


class TaggedSoftLabels(losses.PartialCrossEntropy):
    """A loss with soft labels of its own, the probabilities of the tagged classes."""

    def estimate(self, logits, tags):
        soft = ops.softmax(logits) * tags[:, None, None]
        return soft / ops.sum(soft, axis=-1, keepdims=True)


@pytest.fixture
def task():
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("float32")
    return images, np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0]])


def compiled(model, loss=None):
    model.compile("sgd", loss=losses.PartialCrossEntropy() if loss is None else loss)
    return model


def evenly(model, images, tags):
    maps = np.tile(tags[:, None, None] / tags.sum(), (1, *images.shape[1:3], 1))
    return maps, np.full(images.shape[:3], 255)


def written(folder, epoch=1):
    return np.asarray(Image.open(folder / f"epoch_{epoch:04d}.png")).astype(int)


def predicted(model, images):
    logits = resize_bilinear(model(images, training=False), images.shape[1:3])
    return ops.convert_to_numpy(ops.softmax(logits))


@pytest.mark.any_backend
def test_fit_writes_a_sheet_every_so_many_epochs(tmp_path, task):
    images, tags = task
    sheets = TagImages(images, tags, tmp_path / "sheets", evenly, every=2)
    compiled(WeaklySupervisedModel(net())).fit(images, tags, epochs=5, verbose=0, callbacks=[sheets])
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["epoch_0002.png", "epoch_0004.png"]


@pytest.mark.any_backend
def test_what_the_model_mines(tmp_path, task):
    images, tags = task
    truth = [np.ones((16, 16), int), None, np.zeros((16, 16), int)]
    sheets = TagImages(images, tags, tmp_path, class_names=NAMES, truth=truth, max_images=2)
    model = compiled(Mining(net()), TaggedSoftLabels())
    model.fit(images, tags, verbose=0, callbacks=[sheets])
    maps, labels = np.zeros((2, 16, 16, 3)), np.full((2, 16, 16), 255)
    maps[:, :, :8] = [[[[1, 1, 0]]], [[[1, 0, 1]]]]
    labels[:, 8:, 8:] = 0
    expected = tag_sheet(
        images[:2], maps, labels, predicted(model, images[:2]), truth[:2], NAMES, caption="epoch 1"
    )
    found = written(tmp_path)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("as_sum", [False, True])
def test_what_the_compiled_loss_estimates(tmp_path, task, as_sum):
    images, tags = task
    loss = losses.PartialCrossEntropy() + TaggedSoftLabels() if as_sum else TaggedSoftLabels()
    model = compiled(WeaklySupervisedModel(net()), loss)
    model.fit(images, tags, verbose=0, callbacks=[TagImages(images, tags, tmp_path)])
    tags = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0]], "float32")
    soft = TaggedSoftLabels().estimate(model(images), tags)
    labels = np.argmax(soft, axis=-1).repeat(2, axis=1).repeat(2, axis=2)
    maps = ops.convert_to_numpy(resize_bilinear(soft, (16, 16)))
    expected = tag_sheet(images, maps, labels, predicted(model, images), caption="epoch 1")
    assert np.abs(written(tmp_path) - expected).max() <= 1


def test_an_estimate_of_ones_own_of_images_of_different_sizes(tmp_path, task):
    images, tags = task
    some = [images[0, :10], images[1, :, :7], images[2, :10]]
    asked = []

    def estimate(model, resized, own_tags):
        asked.append((resized.shape, own_tags.tolist()))
        return evenly(model, resized, own_tags)

    model = compiled(net(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    sheets = TagImages(some, tags, tmp_path, estimate)
    model.fit(images, np.zeros((3, 8, 8)), verbose=0, callbacks=[sheets])
    seen = [[1 / 3, 1 / 3, 0], [1 / 2, 0, 1 / 2], [1 / 3, 0, 0]]
    assert asked == [((2, 10, 16, 3), [[1, 1, 0], [1, 0, 0]]), ((1, 16, 7, 3), [[1, 0, 1]])]
    maps = [np.tile(one, (*x.shape[:2], 1)) for x, one in zip(some, np.array(seen), strict=True)]
    labels = [np.full(x.shape[:2], 255) for x in some]
    p = [predicted(model, image[None])[0] for image in some]
    expected = tag_sheet(some, maps, labels, p, caption="epoch 1")
    assert np.abs(written(tmp_path) - expected).max() <= 1


def test_inputs_by_name(tmp_path, task):
    images, tags = task
    inputs = {
        "image": keras.Input((None, None, 3), name="image"),
        "depth": keras.Input((None, None, 1), name="depth"),
    }
    x = keras.layers.Concatenate()([inputs["image"], inputs["depth"]])
    x = keras.layers.Rescaling(1 / 255)(x)
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(x))
    batch = {"image": images, "depth": images[..., :1]}
    shown = [{key: part[i] for key, part in batch.items()} for i in range(3)]
    model = compiled(WeaklySupervisedModel(model, value_range=(0, 255)), TaggedSoftLabels())
    model.fit(batch, tags, verbose=0, callbacks=[TagImages(shown, tags, tmp_path)])
    logits = model(batch)
    soft = TaggedSoftLabels().estimate(logits, np.maximum(tags, [1, 0, 0]).astype("float32"))
    p = ops.convert_to_numpy(ops.softmax(logits))
    labels = ops.convert_to_numpy(ops.argmax(soft, axis=-1))
    expected = tag_sheet(images, ops.convert_to_numpy(soft), labels, p, caption="epoch 1")
    assert np.abs(written(tmp_path) - expected).max() <= 1


def test_value_range_comes_from_the_model(tmp_path, task):
    images, tags = task
    model = compiled(WeaklySupervisedModel(net(), value_range=(0, 1)))
    model.fit(images / 255, tags, verbose=0, callbacks=[TagImages(images / 255, tags, tmp_path, evenly)])
    assert written(tmp_path)[60:200, 10:190].std() > 20


def test_tensorboard_shows_the_same_sheets(tmp_path, task):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    images, tags = task
    sheets = TagImages(images, tags, tmp_path / "sheets", evenly, tensorboard=tmp_path / "logs")
    compiled(WeaklySupervisedModel(net())).fit(images, tags, epochs=2, verbose=0, callbacks=[sheets])
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0}).Reload()
    shown = events.Tensors("tags")
    assert [event.step for event in shown] == [0, 1]
    (tmp_path / "epoch_0009.png").write_bytes(tensor_util.make_ndarray(shown[1].tensor_proto)[2])
    np.testing.assert_array_equal(written(tmp_path, 9), written(tmp_path / "sheets", 2))


def test_a_diverged_model_sees_nothing(tmp_path, task):
    images, tags = task
    model = compiled(WeaklySupervisedModel(net()), TaggedSoftLabels())
    model.segmenter.layers[-1].bias.assign([np.nan] * 3)
    for name, others in (("diverged", None), ("none", lambda m, x, t: (0 * x, 0 * x[..., 0].astype(int)))):
        sheets = TagImages(images, tags, tmp_path / name, others)
        sheets.set_model(model)
        sheets.on_epoch_end(0)
    np.testing.assert_array_equal(written(tmp_path / "diverged"), written(tmp_path / "none"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": []}, ValueError, "`images` must contain at least one image. Received: 0 images$"),
        (
            {"tags": [[1, 0], [1, 1]]},
            ValueError,
            r"`tags` must be \(1 images, classes\), .*shape=\(2, 2\)$",
        ),
        ({"tags": [[1, 0.5]]}, ValueError, "`tags` must contain only 0 and 1. Received: 0.5 to 1.0$"),
        ({"tags": [[1]]}, ValueError, r"including the background. Received: shape=\(1, 1\)$"),
        ({"truth": [np.zeros((3, 4), int)]}, ValueError, r"`truth` must have the height .*shape=\(3, 4\)$"),
        ({"every": 0}, ValueError, "`every` must be an integer of at least 1. Received: every=0$"),
        ({"estimate": 3}, TypeError, "`estimate` must be a function. Received: estimate=3$"),
    ],
)
def test_bad_arguments(tmp_path, change, error, message):
    arguments = {"images": [np.zeros((4, 4, 3))], "tags": [[1, 0]], "directory": tmp_path}
    with pytest.raises(error, match=message):
        TagImages(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimate": None}, "estimate=None, model=SimpleNamespace, loss=PartialCrossEntropy$"),
        (
            {"images": np.full((1, 4, 4, 3), 300.0)},
            r"value_range=\(0, 255\). Received: values from 300 to 300",
        ),
        (
            {"palette": [[0, 0, 0]] * 2, "class_names": None},
            "`palette` must have a color for every class of `labels`. Received: class 2",
        ),
        ({"class_names": ["a", "b"]}, "`class_names` must have a name for each of the 3 .* 2 names$"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_before_training(tmp_path, change, message):
    arguments = {"images": np.zeros((1, 4, 4, 3)), "tags": [[1, 1, 0]], "estimate": evenly}
    images = TagImages(directory=tmp_path, **{**arguments, **change})
    # Nothing that could be run.
    images.set_model(types.SimpleNamespace(loss=losses.PartialCrossEntropy()))
    with pytest.raises(ValueError, match=message):
        images.on_train_begin()


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (np.zeros((2, 4, 4, 3)), ValueError, "`estimate` must return maps and labels. Received: ndarray$"),
        (
            (np.zeros((1, 4, 4, 2)), np.zeros((1, 4, 4), int)),
            ValueError,
            r"maps \(1, height, width, 3\) .* Received: shapes \(1, 4, 4, 2\) and \(1, 4, 4\)$",
        ),
        (
            (np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 1), int)),
            ValueError,
            r"Received: shapes \(1, 4, 4, 3\) and \(1, 4, 4, 1\)$",
        ),
        ((np.full((1, 4, 4, 3), 7.0), np.zeros((1, 4, 4), int)), ValueError, r"`maps` must lie .* 7 to 7$"),
        ((np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4))), TypeError, "`labels` must hold integers"),
    ],
)
def test_estimates_that_do_not_fit(tmp_path, returned, error, message):
    images = TagImages(np.zeros((1, 4, 4, 3)), [[1, 1, 0]], tmp_path, lambda *_: returned)
    images.set_model(net())
    with pytest.raises(error, match=message):
        images.on_epoch_end(0)
