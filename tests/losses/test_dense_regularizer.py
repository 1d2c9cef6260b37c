"""What the four fully connected losses share; what each computes is in the file of its name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg import WeaklySupervisedModel, callbacks, losses, targets
from keras_wsseg.ops import resize_bilinear

FOUR = (losses.DenseCRFLoss, losses.NormalizedCutLoss, losses.KernelCutLoss, losses.ADMLoss)
WIDTHS = {"sigma_rgb": 0.3, "sigma_xy": 6.0}


def batch(size=(12, 8), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 254, 255], size=(2, *size), p=[0.1, 0.1, 0.1, 0.1, 0.6])
    guide = rng.random((2, *size, 3)).astype("float32")
    return labels, guide, rng.normal(size=(2, *size, classes)).astype("float32")


def doubled(x):
    return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)


@pytest.mark.parametrize("kind", FOUR)
def test_half_the_grid_sees_the_same_image(kind):
    """Each pixel made four, the loss at half the grid is that of the small image: sigma_xy scales along."""
    labels, guide, logits = batch()
    small = kind(resolution=1.0, sigma_rgb=0.3, sigma_xy=5.0)(targets.pack(labels, guide), logits)
    large = kind(resolution=0.5, sigma_rgb=0.3, sigma_xy=10.0)(
        targets.pack(doubled(labels), doubled(guide)), doubled(logits)
    )
    np.testing.assert_allclose(large, small, rtol=1e-4)


@pytest.mark.parametrize("kind", FOUR)
def test_coarse_predictions_come_to_the_image(kind):
    labels, guide, _ = batch()
    packed = targets.pack(labels, guide)
    coarse = np.random.default_rng(1).normal(size=(2, 6, 4, 3)).astype("float32")

    fine = resize_bilinear(tf.constant(coarse), (12, 8))
    loss = kind(resolution=0.5, **WIDTHS)
    np.testing.assert_allclose(loss(packed, coarse), loss(packed, fine), rtol=1e-5)


@pytest.mark.parametrize("filter_method", ("exact", "nystrom"))
@pytest.mark.parametrize("kind", FOUR)
def test_pixels_outside_take_no_part(kind, filter_method):
    labels, guide, logits = batch()
    outside = (labels == 254)[..., None]
    loss = kind(resolution=1.0, filter_method=filter_method, landmarks=60, **WIDTHS)
    packed = targets.pack(labels, guide)
    changed = np.where(outside, logits + 5 * np.arange(3), logits).astype("float32")
    painted = targets.pack(labels, np.where(outside, 0.0, guide))
    value = float(loss(packed, logits))
    assert value > 0
    np.testing.assert_allclose(loss(packed, changed), value, rtol=1e-5)
    # Rounding differs a little where the features' mean does.
    np.testing.assert_allclose(loss(painted, logits), value, rtol=1e-3)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = loss(packed, x)
    slope = np.abs(tape.gradient(result, x))
    assert not slope[outside[..., 0]].any() and slope[~outside[..., 0]].all(axis=-1).mean() > 0.5


@pytest.mark.parametrize("kind", FOUR)
@pytest.mark.parametrize(
    ("size", "classes", "fill"), [((6, 5), 3, 254), ((6, 5), 3, 255), ((1, 5), 2, 0), ((1, 1), 2, 255)]
)
def test_degenerate_batches_are_finite(kind, size, classes, fill):
    packed = targets.pack(np.full((2, *size), fill), np.zeros((2, *size, 1), "float32"))
    logits = tf.zeros((2, *size, classes))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = kind()(packed, logits)
    assert np.isfinite(value) and np.isfinite(tape.gradient(value, logits)).all()
    if fill == 254:
        assert float(value) == 0


@pytest.mark.parametrize("kind", FOUR)
def test_probabilities_half_precision_reduction_and_sample_weight(kind):
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    plain = kind(resolution=1.0, **WIDTHS)
    value = float(plain(packed, logits))
    y = tf.nn.softmax(logits)
    np.testing.assert_allclose(kind(resolution=1.0, from_logits=False, **WIDTHS)(packed, y), value, rtol=1e-5)
    half = kind(resolution=1.0, dtype="float16", **WIDTHS)(packed, logits.astype("float16"))
    np.testing.assert_allclose(float(half), value, rtol=0.02)
    each = np.array(kind(resolution=1.0, reduction="none", **WIDTHS)(packed, logits))
    np.testing.assert_allclose(each.mean(), value, rtol=1e-5)
    weighted = plain(packed, logits, sample_weight=np.array([2.0, 0.0]))
    np.testing.assert_allclose(weighted, each[0], rtol=1e-5)


@pytest.mark.parametrize("kind", FOUR)
def test_config_round_trip(kind):
    loss = kind(
        weight=0.2, sigma_rgb=0.1, sigma_xy=30, resolution=0.25, filter_method="nystrom",
        landmarks=64, seed=5, from_logits=False, reduction="sum", name="other", dtype="bfloat16",
    )  # fmt: skip
    loss.anneal("sigma_xy", 99)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.sigma_xy, again.landmarks, again.dtype) == (30, 64, "bfloat16")


@pytest.mark.parametrize("kind", FOUR)
def test_fit_save_and_load(kind, tmp_path):
    """Warmed up and annealed by callbacks, the first of the four by XLA; a saved model goes on training."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    labels = np.where(rng.random((4, 16, 16)) < 0.1, (images[..., 0] > 128).astype(int), 255)
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255)])
    net.add(keras.layers.Conv2D(2, 3, padding="same"))
    loss = kind(weight=0.5, resolution=0.5, landmarks=32)
    model = WeaklySupervisedModel(net)
    mode = {"jit_compile": True} if kind is FOUR[0] else {"run_eagerly": True}
    model.compile("adam", loss=losses.PartialCrossEntropy() + loss, **mode)
    steps = [
        callbacks.WarmUp(loss, delay_steps=1),
        callbacks.ParameterScheduler(loss, "sigma_rgb", lambda epoch: 0.1 + 0.1 * epoch),
    ]
    history = model.fit(images, labels, batch_size=2, epochs=2, callbacks=steps, verbose=0).history
    annealed = f"{loss.name}_sigma_rgb"
    assert set(history) == {"loss", "partial_cross_entropy", loss.name, annealed}
    assert history[annealed] == pytest.approx([0.1, 0.2])
    assert np.isfinite([*history.values()]).all() and history[loss.name][0] > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    again.run_eagerly = True
    again.fit(images, labels, batch_size=2, epochs=1, verbose=0)


@pytest.mark.parametrize("kind", FOUR)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"weight": -1}, "`weight` must be a number of at least 0. Received: weight=-1"),
        ({"sigma_rgb": 0}, "`sigma_rgb` must be a number of at least 0.0001. Received: sigma_rgb=0"),
        (
            {"sigma_xy": float("nan")},
            "`sigma_xy` must be a number of at least 0.0001. Received: sigma_xy=nan",
        ),
        ({"resolution": 0}, "`resolution` must be a number above 0 and of at most 1. Received: resolution=0"),
        (
            {"resolution": 1.5},
            "`resolution` must be a number above 0 and of at most 1. Received: resolution=1.5",
        ),
        ({"filter_method": "tiles"}, "filter_method must be one of .* Received: filter_method='tiles'"),
        ({"landmarks": 0}, "`landmarks` must be an integer of at least 1. Received: landmarks=0"),
        ({"seed": 1.5}, "`seed` must be an integer. Received: seed=1.5"),
    ],
)
def test_bad_arguments(kind, arguments, text):
    with pytest.raises(ValueError, match=text):
        kind(**arguments)


@pytest.mark.parametrize("kind", FOUR)
def test_labels_without_an_image_say_how_to_get_it(kind):
    labels, _, logits = batch()
    with pytest.raises(ValueError, match="so y_true must contain the image: train with .* labels only"):
        kind()(labels, logits)
