import keras
import numpy as np
import oracles
import pytest
import tag_oracles
import tensorflow as tf
from dense_cases import batch

from keras_wsseg import WeaklySupervisedModel, callbacks, losses, targets

WIDTHS = {"sigma_rgb": 0.4, "sigma_xy": 3.0}


def by_hand(labels, guide, probabilities, resolution=1, gates=None):
    """Energy and kernel mass of each image, with `resolution` cells a pixel and the gates given, if any."""
    cell = int(1 / resolution)
    _, height, width, classes = probabilities.shape
    blocks = (len(labels), height // cell, cell, width // cell, cell)
    guide = guide.astype("float64").reshape(*blocks, 3).mean(axis=(2, 4))
    y = probabilities.astype("float64").reshape(*blocks, classes).mean(axis=(2, 4))
    inside = (labels != 254).reshape(blocks).all(axis=(2, 4))
    share = ((labels != 254) & (labels != 255)).reshape(blocks).mean(axis=(2, 4))
    found = []
    for i in range(len(labels)):
        matrix = tag_oracles.neighbor_kernel(guide[i], [(1.0, 3.0, 0.4)], (cell, cell), None, inside[i])
        p = y[i].reshape(-1, classes)
        gate = 1 - share[i].ravel() * p.max(axis=1) if gates is None else gates[i]
        found.append((tag_oracles.dense_energy(p, gate, matrix), matrix.sum()))
    return np.array(found).T


def gates_of(labels, probabilities):
    known = ((labels != 254) & (labels != 255)).astype("float64")
    return (1 - known * probabilities.max(axis=-1)).reshape(len(labels), -1)


@pytest.mark.parametrize("resolution", (1.0, 0.5))
def test_value_is_the_energy_over_the_kernel_mass_of_the_batch(resolution):
    labels, guide, logits = batch((8, 6))
    packed = targets.pack(labels, guide)
    energy, mass = by_hand(labels, guide, oracles.softmax(logits), resolution)
    loss = losses.DenseEnergyLoss(weight=0.5, resolution=resolution, **WIDTHS)
    np.testing.assert_allclose(float(loss(packed, logits)), 0.5 * energy.sum() / mass.sum(), rtol=1e-4)
    raw = losses.DenseEnergyLoss(
        weight=0.5, resolution=resolution, normalization="none", reduction="none", **WIDTHS
    )
    np.testing.assert_allclose(raw(packed, logits), 0.5 * energy, rtol=1e-4)


def test_coarse_predictions_come_to_the_image():
    labels, guide, _ = batch((8, 6))
    coarse = np.random.default_rng(1).normal(size=(2, 4, 3, 3)).astype("float32")
    energy, mass = by_hand(labels, guide, oracles.softmax(tf.image.resize(coarse, (8, 6)).numpy()), 0.5)
    loss = losses.DenseEnergyLoss(weight=1.0, **WIDTHS)
    found = float(loss(targets.pack(labels, guide), coarse))
    np.testing.assert_allclose(found, energy.sum() / mass.sum(), rtol=1e-4)


@pytest.mark.parametrize("normalization", ("kernel_mass", "none"))
def test_gradient_by_finite_differences(normalization):
    """With the gates held at their values: no gradient flows through them."""
    labels, guide, logits = batch((4, 3))
    labels[0, 0, 0], labels[1, 2, 1] = 0, 2
    loss = losses.DenseEnergyLoss(weight=1.0, resolution=1.0, normalization=normalization, **WIDTHS)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(targets.pack(labels, guide), x)
    gates = gates_of(labels, oracles.softmax(logits.astype("float64")))

    def total(z, gates=gates):
        energy, mass = by_hand(labels, guide, oracles.softmax(z), gates=gates)
        return energy.sum() / mass.sum() if normalization == "kernel_mass" else energy.mean()

    found = tape.gradient(value, x).numpy()
    want = oracles.numeric_gradient(total, logits.astype("float64"))
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-5)
    # Were the gates to move along, it would be another one.
    moving = oracles.numeric_gradient(lambda z: total(z, None), logits.astype("float64"))
    assert np.linalg.norm(moving - want) > 0.02 * np.linalg.norm(want)


def test_gradient_is_the_exact_one_and_not_the_one_sided_one():
    """S_i (G (1 - P))_i - (G (S P))_i for each class, against -2 S_i (G P)_i behind the same softmax."""
    labels, guide, logits = (x[:1] for x in batch((5, 4)))
    labels = np.where(labels == 254, 1, labels)
    loss = losses.DenseEnergyLoss(weight=1.0, resolution=1.0, normalization="none", **WIDTHS)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(targets.pack(labels, guide), x)
    p = oracles.softmax(logits.astype("float64"))[0].reshape(-1, 3)
    s = gates_of(labels, p.reshape(1, 5, 4, 3))[0][:, None]
    matrix = tag_oracles.neighbor_kernel(guide[0], [(1.0, 3.0, 0.4)])

    def behind_the_softmax(gradient):
        return (p * (gradient - np.sum(p * gradient, axis=1, keepdims=True))).reshape(1, 5, 4, 3)

    found = tape.gradient(value, x).numpy()
    exact = behind_the_softmax(s * (matrix @ (1 - p)) - matrix @ (s * p))
    np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-5)
    one_sided = behind_the_softmax(-2 * s * (matrix @ p))
    assert np.linalg.norm(one_sided - found) > 0.1 * np.linalg.norm(found)


def test_sure_labeled_pixels_receive_nothing_and_still_give():
    guide = np.zeros((1, 1, 2, 3), "float32")
    logits = np.array([[40.0, 0.0], [0.0, 1.0]], "float32").reshape(1, 1, 2, 2)
    labels = np.array([[[0, 255]]])
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = losses.DenseEnergyLoss(weight=1.0, resolution=1.0, sigma_xy=9)(targets.pack(labels, guide), x)
    slope = tape.gradient(value, x)[0, 0].numpy()
    # The pixel in doubt is drawn to class 0; the sure one stays, its softmax being flat.
    assert slope[1, 0] < -1e-2 and np.abs(slope[0]).max() < 1e-6
    # Unlabeled pixels all have their gate open: the energy is that of the dense CRF without its diagonal.
    both = losses.DenseEnergyLoss(weight=1.0, resolution=1.0, sigma_xy=9)
    p = oracles.softmax(logits[0, 0].astype("float64"))
    want = sum(p[i, c] * (1 - p[1 - i, c]) for i in range(2) for c in range(2)) / 2
    np.testing.assert_allclose(both(targets.pack(np.full((1, 1, 2), 255), guide), logits), want, rtol=1e-5)


@pytest.mark.parametrize(("filter_method", "tolerance"), (("nystrom", 0.02), ("permutohedral", 0.1)))
def test_approximations_come_near(filter_method, tolerance):
    labels, guide, logits = batch((16, 14))
    packed = targets.pack(labels, guide)
    exact, found = (
        losses.DenseEnergyLoss(resolution=1.0, filter_method=name, landmarks=120, **WIDTHS)(packed, logits)
        for name in ("exact", filter_method)
    )
    np.testing.assert_allclose(found, exact, rtol=tolerance)


@pytest.mark.parametrize("filter_method", ("exact", "nystrom"))
def test_pixels_outside_take_no_part(filter_method):
    labels, guide, logits = batch((12, 8))
    outside = (labels == 254)[..., None]
    loss = losses.DenseEnergyLoss(
        resolution=1.0, filter_method=filter_method, landmarks=60, sigma_rgb=0.4, sigma_xy=6.0
    )
    value = float(loss(targets.pack(labels, guide), logits))
    changed = tf.constant(np.where(outside, logits + 5 * np.arange(3), logits).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(changed)
        found = loss(targets.pack(labels, np.where(outside, 0.0, guide)), changed)
    np.testing.assert_allclose(found, value, rtol=1e-3)
    slope = np.abs(tape.gradient(found, changed))
    assert not slope[outside[..., 0]].any() and slope[~outside[..., 0]].all(axis=-1).mean() > 0.9


def test_one_weight_serves_every_resolution():
    labels, guide, logits = batch((16, 12))
    labels = np.where(labels == 254, 255, labels)

    def twice(x):
        return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)

    small = losses.DenseEnergyLoss(sigma_xy=5, sigma_rgb=0.3, resolution=1.0)(
        targets.pack(labels, guide), logits
    )
    packed = targets.pack(twice(labels), twice(guide))
    half = losses.DenseEnergyLoss(sigma_xy=10, sigma_rgb=0.3, resolution=0.5)(packed, twice(logits))
    np.testing.assert_allclose(half, small, rtol=1e-4)
    large = losses.DenseEnergyLoss(sigma_xy=10, sigma_rgb=0.3, resolution=1.0)(packed, twice(logits))
    np.testing.assert_allclose(large, small, rtol=0.05)


@pytest.mark.parametrize("normalization", ("kernel_mass", "none"))
@pytest.mark.parametrize(
    ("size", "classes", "fill"), [((6, 5), 3, 254), ((6, 5), 3, 255), ((1, 5), 2, 0), ((1, 1), 2, 255)]
)
def test_degenerate_batches_are_finite(size, classes, fill, normalization):
    packed = targets.pack(np.full((2, *size), fill), np.zeros((2, *size, 3), "float32"))
    logits = tf.zeros((2, *size, classes))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = losses.DenseEnergyLoss(normalization=normalization)(packed, logits)
    assert np.isfinite(value) and np.isfinite(tape.gradient(value, logits)).all()
    if fill == 254 or size == (1, 1):
        assert float(value) == 0


def test_probabilities_half_precision_reduction_and_sample_weight():
    labels, guide, logits = batch((8, 6))
    packed = targets.pack(labels, guide)
    plain = losses.DenseEnergyLoss(resolution=1.0, **WIDTHS)
    value = float(plain(packed, logits))
    given = losses.DenseEnergyLoss(resolution=1.0, from_logits=False, **WIDTHS)
    np.testing.assert_allclose(given(packed, oracles.softmax(logits)), value, rtol=1e-5)
    half = losses.DenseEnergyLoss(resolution=1.0, dtype="float16", **WIDTHS)(packed, logits.astype("float16"))
    np.testing.assert_allclose(float(half), value, rtol=0.02)
    each = np.array(losses.DenseEnergyLoss(resolution=1.0, reduction="none", **WIDTHS)(packed, logits))
    np.testing.assert_allclose(each.mean(), value, rtol=1e-5)
    weighted = plain(packed, logits, sample_weight=np.array([2.0, 0.0]))
    np.testing.assert_allclose(weighted, each[0], rtol=1e-5)


def test_config_round_trip():
    loss = losses.DenseEnergyLoss(
        weight=1e-7, sigma_rgb=0.1, sigma_xy=30, resolution=0.25, normalization="none",
        filter_method="nystrom", landmarks=64, seed=5, from_logits=False, reduction="sum", name="other",
        dtype="bfloat16",
    )  # fmt: skip
    loss.anneal("weight", 99)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.weight, again.normalization, again.dtype) == (1e-7, "none", "bfloat16")


def test_fit_save_and_load(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    labels = np.where(rng.random((4, 16, 16)) < 0.1, (images[..., 0] > 128).astype(int), 255)
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255)])
    net.add(keras.layers.Conv2D(2, 3, strides=2, padding="same"))
    loss = losses.DenseEnergyLoss(landmarks=32)
    model = WeaklySupervisedModel(net)
    model.compile("adam", loss=losses.BalancedCrossEntropy() + loss, jit_compile=True)
    warm_up = callbacks.WarmUp(loss, delay_steps=1)
    history = model.fit(images, labels, batch_size=2, epochs=2, callbacks=[warm_up], verbose=0).history
    assert {"loss", "balanced_cross_entropy", "dense_energy"} <= set(history)
    assert np.isfinite([*history.values()]).all() and history["dense_energy"][0] > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    again.run_eagerly = True
    again.fit(images, labels, batch_size=2, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"normalization": "sum"}, r"one of \('kernel_mass', 'none'\). Received: normalization='sum'"),
        ({"weight": -1}, "`weight` must be a number of at least 0. Received: weight=-1"),
        ({"sigma_xy": 0}, "`sigma_xy` must be a number of at least 0.0001. Received: sigma_xy=0"),
        ({"resolution": 2}, "`resolution` must be a number above 0 and of at most 1. Received: resolution=2"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        losses.DenseEnergyLoss(**arguments)


def test_labels_without_an_image_say_how_to_get_it():
    labels, _, logits = batch()
    with pytest.raises(ValueError, match="so y_true must contain the image: train with .* labels only"):
        losses.DenseEnergyLoss()(labels, logits)
