import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_wsseg import WeaklySupervisedModel, losses
from keras_wsseg.callbacks.prediction_images import PredictionImages
from keras_wsseg.visualization import prediction_sheet

pytestmark = pytest.mark.usefixtures("eagerly")


def net(classes=3, channels=3):
    inputs = keras.Input((None, None, channels))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, keras.layers.Conv2D(classes, 1)(x))


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 16, 3)).astype("float32")
    return images, rng.choice([0, 1, 2, 254, 255], (4, 16, 16)).astype("uint8")


def compiled(model):
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    return model


@pytest.mark.any_backend
def test_fit_writes_a_sheet_every_so_many_epochs(tmp_path, task):
    images, labels = task
    sheets = PredictionImages(images, labels, tmp_path / "sheets", every=2, truth=labels)
    compiled(WeaklySupervisedModel(net())).fit(images, labels, epochs=5, verbose=0, callbacks=[sheets])
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["epoch_0002.png", "epoch_0004.png"]


@pytest.mark.any_backend
def test_the_sheet_shows_what_the_model_predicts(tmp_path, task):
    images, labels = task
    names = ["a", "b", "c"]
    sheets = PredictionImages(images, labels, tmp_path, class_names=names, max_images=2)
    model = compiled(WeaklySupervisedModel(net()))
    model.fit(images, labels, verbose=0, callbacks=[sheets])
    logits = keras.ops.image.resize(model(images[:2]), (16, 16), interpolation="bilinear")
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    expected = prediction_sheet(images[:2], probabilities, labels[:2], class_names=names, caption="epoch 1")
    written = np.asarray(Image.open(tmp_path / "epoch_0001.png"))
    assert written.shape == expected.shape
    assert np.abs(written.astype(int) - expected).max() <= 1


def test_plain_model_images_of_different_sizes_and_unknown_labels(tmp_path, task):
    images, labels = task
    some = [images[0, :10], images[1, :, :7].astype("uint8").astype("float32")]
    sheets = PredictionImages(some, [labels[0, :10], None], tmp_path, palette=[[9, 9, 9]] * 3)
    compiled(net()).fit(images, labels, verbose=0, callbacks=[sheets])
    assert (tmp_path / "epoch_0001.png").is_file()


def test_value_range_comes_from_the_model(tmp_path, task):
    images, labels = task
    sheets = PredictionImages(images / 255, None, tmp_path)
    model = compiled(WeaklySupervisedModel(net(), value_range=(0, 1)))
    model.fit(images / 255, labels, verbose=0, callbacks=[sheets])
    eight_bit = PredictionImages(images / 255, None, tmp_path, value_range=(0, 1))
    eight_bit.set_model(model)
    eight_bit.on_epoch_end(1)
    first, second = (np.asarray(Image.open(tmp_path / f"epoch_000{i}.png")) for i in (1, 2))
    assert first[60:300, 20:300].std() > 20
    np.testing.assert_array_equal(first[30:], second[30:])


def test_dict_inputs_show_the_image(tmp_path, task):
    images, labels = task
    inputs = {
        "image": keras.Input((None, None, 3), name="image"),
        "depth": keras.Input((None, None, 1), name="depth"),
    }
    x = keras.layers.Concatenate()([inputs["image"], inputs["depth"]])
    model = compiled(keras.Model(inputs, keras.layers.Conv2D(3, 1)(x)))
    batch = {"image": images, "depth": images[..., :1]}
    shown = [{key: part[i] for key, part in batch.items()} for i in range(2)]
    model.fit(batch, labels, verbose=0, callbacks=[PredictionImages(shown, labels[:2], tmp_path)])
    assert (tmp_path / "epoch_0001.png").is_file()


@pytest.mark.any_backend
def test_tensorboard_shows_the_same_sheets(tmp_path, task):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    images, labels = task
    sheets = PredictionImages(images, labels, tmp_path / "sheets", tensorboard=tmp_path / "logs")
    compiled(WeaklySupervisedModel(net())).fit(images, labels, epochs=2, verbose=0, callbacks=[sheets])
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0}).Reload()
    shown = events.Tensors("predictions")
    assert [event.step for event in shown] == [0, 1]
    encoded = tensor_util.make_ndarray(shown[1].tensor_proto)[2]
    (tmp_path / "shown.png").write_bytes(encoded)
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "shown.png")),
        np.asarray(Image.open(tmp_path / "sheets" / "epoch_0002.png")),
    )


def test_tensorboard_without_tensorflow(tmp_path, task, monkeypatch):
    images = PredictionImages(*task, tmp_path, tensorboard=tmp_path)
    images.set_model(net())
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="`tensorboard` requires packages: pip install tensorflow tensor"):
        images.on_train_begin()


def test_a_diverged_model_shows_as_no_idea(tmp_path, task):
    model = net()
    model.layers[-1].bias.assign([np.nan] * 3)
    images = PredictionImages(*task, tmp_path)
    images.set_model(model)
    images.on_epoch_end(0)
    assert (np.asarray(Image.open(tmp_path / "epoch_0001.png")) == (252, 255, 164)).all(-1).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": []}, ValueError, "`images` must contain at least one image. Received: 0 images$"),
        ({"images": [np.zeros((4, 4, 2))]}, ValueError, r"`image` must have shape .*shape=\(4, 4, 2\)$"),
        ({"images": [{"depth": 0}]}, ValueError, r"`images` must contain the input `image`.*\['depth'\]$"),
        ({"labels": []}, ValueError, "`labels` must have an entry for each of the 1 images. Received: 0"),
        ({"truth": [np.zeros((3, 4), int)]}, ValueError, r"`truth` must have the height .*shape=\(3, 4\)$"),
        ({"every": 0}, ValueError, "must be an integer .* Received: every=0$"),
        (
            {"max_images": 1.0},
            ValueError,
            r"`max_images` must be an integer .*Received: max_images=1.0$",
        ),
    ],
)
def test_bad_arguments(tmp_path, change, error, message):
    arguments = {"images": [np.zeros((4, 4, 3))], "labels": [np.zeros((4, 4), int)], "directory": tmp_path}
    with pytest.raises(error, match=message):
        PredictionImages(**{**arguments, **change})


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.full((1, 4, 4, 3), 300.0), {}, r"value_range=\(0, 255\). Received: values from 300 to 300$"),
        (np.zeros((1, 4, 4, 3)), {"palette": [[0, 0, 0]]}, "`palette` must have a color .* class 1 and 1"),
        (np.zeros((1, 4, 4, 3)), {"class_names": ["a"] * 255}, "Received: 255 names and 254 colors$"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_before_training(tmp_path, images, options, message):
    sheets = PredictionImages(images, np.ones((1, 4, 4), int), tmp_path, **options)
    sheets.set_model(net())
    with pytest.raises(ValueError, match=message):
        sheets.on_train_begin()


def test_model_that_yields_no_map(tmp_path, task):
    sheets = PredictionImages(*task, tmp_path)
    sheets.set_model(keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten()]))
    with pytest.raises(ValueError, match=r"the model.s output must be .* Received: \(4, 768\)$"):
        sheets.on_epoch_end(0)
