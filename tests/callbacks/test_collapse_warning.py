import logging

import keras
import numpy as np
import pytest

from keras_wsseg import WeaklySupervisedModel, losses
from keras_wsseg.callbacks import CollapseWarning

NAMES = ["ground", "horse"]


@pytest.fixture
def task():
    """Bright squares on dark ground, and labels that tell the two apart."""
    images = np.full((4, 12, 12, 3), 40.0, "float32")
    images[:, 3:9, 3:9] = 220.0
    return images, (images[..., 0] > 100).astype("uint8")


def model_for(bias=(0.0, 0.0), rate=0.5, **options):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    outputs = keras.layers.Conv2D(2, 1, kernel_initializer="zeros", name="head")(x)
    net = keras.Model(inputs, outputs)
    net.get_layer("head").bias.assign(bias)
    model = WeaklySupervisedModel(net)
    model.compile(keras.optimizers.SGD(rate), losses.PartialCrossEntropy(), **options)
    return model


def own_records(caplog):
    return [record for record in caplog.records if record.name == "keras_wsseg"]


@pytest.mark.parametrize("options", [{"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True}])
def test_a_training_that_collapses_is_told_once(task, caplog, options):
    images, labels = task
    one_class_only = np.full_like(labels, 255)
    one_class_only[:, :, ::2] = 1
    warning = CollapseWarning(images, NAMES)
    with caplog.at_level(logging.WARNING, "keras_wsseg"):
        fitted = model_for(**options).fit(
            images, one_class_only, epochs=3, batch_size=2, verbose=0, callbacks=[warning]
        )
    assert fitted.history["largest_class_share"] == [1.0, 1.0, 1.0]
    (record,) = own_records(caplog)
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "epoch 1: 100.0% of the pixels are predicted as 'horse'; the model has collapsed to one label. "
        "Try a longer annealing stage or different loss weights."
    )


def test_a_training_that_does_not_is_left_alone(task, caplog):
    images, labels = task
    model = model_for(rate=2.0)
    with caplog.at_level(logging.WARNING, "keras_wsseg"):
        history = model.fit(
            images, labels, epochs=5, verbose=0, callbacks=[CollapseWarning(images, NAMES, limit=0.9)]
        ).history
    assert history["largest_class_share"][-1] == pytest.approx(1 - 36 / 144)
    assert own_records(caplog) == []


@pytest.mark.any_backend
def test_recovery_is_told_once(task, caplog):
    images, labels = task
    warning = CollapseWarning(images, limit=0.9)
    with caplog.at_level(logging.WARNING, "keras_wsseg"):
        shares = (
            model_for(bias=(3.0, 0.0), rate=2.0)
            .fit(images, labels, epochs=12, verbose=0, callbacks=[warning])
            .history["largest_class_share"]
        )
    assert shares[0] == 1.0 and shares[-1] == pytest.approx(0.75)
    recovered = next(epoch for epoch, share in enumerate(shares) if share < 0.9)
    assert all(share < 0.9 for share in shares[recovered:])
    assert [record.getMessage() for record in own_records(caplog)] == [
        "epoch 1: 100.0% of the pixels are predicted as class 0; the model has collapsed to one label. "
        "Try a longer annealing stage or different loss weights.",
        f"epoch {recovered + 1}: the model is no longer collapsed to one label; the most frequent one, "
        f"class 0, has {shares[recovered]:.1%} of the pixels.",
    ]


def test_share_is_of_all_pixels_of_the_images_that_are_taken(task):
    images, _ = task
    model = model_for()
    head = model.segmenter.get_layer("head")
    head.kernel.assign(np.array([[[[-1.0, 1.0]] * 3]]))
    bright = np.full((6, 6, 3), 255.0)
    warning = CollapseWarning([images[0], bright, bright], max_images=2)
    warning.set_model(model)
    logs = {}
    warning.on_epoch_end(0, logs)
    assert logs == {"largest_class_share": pytest.approx((144 - 36) / (144 + 36))}


def test_share_stands_in_the_csv_of_logs(task, tmp_path):
    images, labels = task
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    model_for().fit(images, labels, verbose=0, callbacks=[CollapseWarning(images), logger])
    assert "largest_class_share" in (tmp_path / "log.csv").read_text().splitlines()[0].split(",")


def test_each_training_is_told_anew(task, caplog):
    images, labels = task
    warning = CollapseWarning(images, NAMES)
    model = model_for(bias=(9.0, 0.0), rate=1e-6)
    with caplog.at_level(logging.WARNING, "keras_wsseg"):
        for _ in range(2):
            model.fit(images, labels, verbose=0, callbacks=[warning])
    assert len(own_records(caplog)) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": []}, ValueError, "`images` must contain at least one image. Received: 0 images$"),
        ({"limit": 0}, ValueError, "`limit` must be a number above 0 and of at most 1. Received: limit=0$"),
        ({"limit": 99}, ValueError, "`limit` must be a number above 0 and of at most 1. Received: limit=99$"),
        ({"limit": "all"}, ValueError, "`limit` must be a number .* Received: limit='all'$"),
        (
            {"max_images": 0},
            ValueError,
            "must be an integer .* Received: max_images=0$",
        ),
        ({"max_images": 2.5}, ValueError, "`max_images` must be an integer"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        CollapseWarning(**{"images": np.zeros((1, 4, 4, 3)), **arguments})


@pytest.mark.parametrize(
    ("outputs", "names", "message"),
    [
        (2, ["a"], "a name for each of the model's 2 classes. Received: 1 names$"),
        (1, ["a"], "a name for each of the model's 2 classes. Received: 1 names$"),
    ],
)
def test_a_model_that_does_not_fit_is_an_error_before_training(outputs, names, message):
    warning = CollapseWarning(np.zeros((1, 4, 4, 3)), names)
    warning.set_model(keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(outputs, 1)]))
    with pytest.raises(ValueError, match=message):
        warning.on_train_begin()


def test_wavering_about_the_limit_is_told_once(monkeypatch, caplog):
    warning = CollapseWarning(np.zeros((1, 1, 1000, 1), "float32"), limit=0.98)
    with caplog.at_level(logging.WARNING, "keras_wsseg"):
        for epoch, share in enumerate((0.985, 0.975, 0.985, 0.971, 0.969, 0.979, 0.981)):
            labels = (np.arange(1000) >= 1000 * share).astype(int)[None]
            monkeypatch.setattr(warning._given, "class_maps", lambda _, labels=labels: [labels])
            warning.on_epoch_end(epoch)
    lines = [record.getMessage() for record in own_records(caplog)]
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 5", "epoch 7"]
