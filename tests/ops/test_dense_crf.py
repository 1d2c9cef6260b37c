import numpy as np
import oracles
import pytest
import tensorflow as tf
from keras import ops

from keras_wsseg.ops import dense_crf_energy, normalized_cut_energy
from keras_wsseg.ops.dense_crf import crf_energy, propose_labels
from keras_wsseg.ops.dense_gaussian import dense_gaussian_kernel

ENERGIES = {
    "dense crf": (dense_crf_energy, oracles.dense_crf),
    "normalized cut": (normalized_cut_energy, oracles.normalized_cut),
}


def case(pixels=35, batch=2, classes=3, seed=0):
    """Probabilities, features and a mask that leaves some pixels out."""
    rng = np.random.default_rng(seed)
    y = oracles.softmax(rng.normal(size=(batch, pixels, classes))).astype("float32")
    features = rng.normal(size=(batch, pixels, 5)).astype("float32")
    mask = (rng.random((batch, pixels)) > 0.3).astype("float32")
    return y, features, mask


def expected(oracle, y, features, mask):
    """The oracle over the pixels of the mask alone."""
    kept = mask > 0
    return oracle(y[kept].astype("float64"), oracles.dense_affinity(features[kept]))


def gradient_of(energy, y, *arguments, **options):
    y = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = tf.reduce_sum(energy(y, *arguments, **options))
    return tape.gradient(value, y).numpy()


@pytest.mark.parametrize("name", ENERGIES)
def test_energies_match_the_matrix(name):
    energy, oracle = ENERGIES[name]
    y, features, mask = case()
    want = [expected(oracle, *parts) for parts in zip(y, features, mask, strict=True)]
    np.testing.assert_allclose(energy(y, features, mask, "exact"), want, rtol=1e-5)
    ones = np.ones_like(mask)
    want = [expected(oracle, *parts) for parts in zip(y, features, ones, strict=True)]
    np.testing.assert_allclose(energy(y, features), want, rtol=1e-5)


@pytest.mark.parametrize("name", ENERGIES)
def test_gradients_match_finite_differences(name):
    energy, oracle = ENERGIES[name]
    y, features, mask = case(pixels=12, batch=1)
    # Differences in each class by itself: the oracle must not assume that they sum to one.
    want = oracles.numeric_gradient(
        lambda s: expected(oracle, s, features[0], mask[0]), y[0].astype("float64")
    )
    found = gradient_of(energy, y, features, mask, "exact")[0]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
    assert not found[mask[0] == 0].any()


def test_gradient_is_that_of_the_paper():
    y, features, _ = case(pixels=20, batch=1)
    affinity, s = oracles.dense_affinity(features[0]), y[0].astype("float64")
    np.testing.assert_allclose(
        gradient_of(dense_crf_energy, y, features)[0], affinity @ (1 - 2 * s), rtol=1e-4, atol=1e-4
    )
    degree = affinity.sum(axis=1)
    paper = np.stack(
        [(k @ affinity @ k) * degree / (degree @ k) ** 2 - 2 * affinity @ k / (degree @ k) for k in s.T],
        axis=1,
    )
    np.testing.assert_allclose(
        gradient_of(normalized_cut_energy, y, features)[0], paper, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ENERGIES)
def test_approximations_come_near_and_their_gradient_is_their_own(name):
    energy, _ = ENERGIES[name]
    y, features, mask = case(pixels=300, classes=4)
    features = 0.7 * features
    exact = np.array(energy(y, features, mask, "exact"))
    np.testing.assert_allclose(energy(y, features, mask, "nystrom", landmarks=200), exact, rtol=0.02)
    direction = np.random.default_rng(1).normal(size=y.shape).astype("float32")
    step = 1e-2

    def along(t):
        return np.sum(energy(y + t * direction, features, mask, "nystrom", landmarks=50), dtype="float64")

    slope = np.sum(gradient_of(energy, y, features, mask, "nystrom", landmarks=50) * direction)
    np.testing.assert_allclose((along(step) - along(-step)) / (2 * step), slope, rtol=1e-2)


def test_invariants():
    y, features, mask = case(pixels=50)
    kernel = dense_gaussian_kernel(features, "exact")
    energy, mass = crf_energy(kernel, tf.constant(y), tf.constant(mask[..., None]))
    assert (energy.numpy() > 0).all() and (energy.numpy() < mass.numpy()).all()
    agreed = np.zeros_like(y)
    agreed[..., 1] = 1
    np.testing.assert_allclose(dense_crf_energy(agreed, features), 0, atol=1e-3)
    np.testing.assert_allclose(normalized_cut_energy(agreed, features), 0, atol=1e-5)
    for energy in (dense_crf_energy, normalized_cut_energy):
        value = energy(y, features, mask)
        np.testing.assert_allclose(energy(y[..., ::-1], features, mask), value, rtol=1e-5)
        np.testing.assert_allclose(energy(y[:, ::-1], features[:, ::-1], mask[:, ::-1]), value, rtol=1e-5)
        np.testing.assert_allclose(energy(y, features + 7, mask), value, rtol=1e-4)


@pytest.mark.parametrize("share", (0.0, 1e-30, 1e-12, 1e-6))
def test_a_class_without_mass_does_not_blow_up(share):
    y, features, _ = case()
    y = np.concatenate([y * (1 - share), np.full_like(y[..., :1], share)], axis=-1)
    gradient = gradient_of(normalized_cut_energy, y, features)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() < 10
    # A vanishing class adds its whole cut, 1 less what little ties it to itself.
    without = np.array(normalized_cut_energy(y[..., :-1], features))
    added = np.array(normalized_cut_energy(y, features)) - without
    assert (added > -1e-3).all() and (added < 1.001).all()


@pytest.mark.parametrize("apart", (25.0, 60.0))
def test_a_class_of_next_to_no_mass_has_the_ratio_of_any_other(apart):
    """All of its mass lies beside the other class: it is cut off from itself entirely."""
    logits = np.zeros((1, 64, 2), "float32")
    logits[..., 0] = apart
    y, features = oracles.softmax(logits).astype("float32"), np.zeros((1, 64, 1), "float32")
    np.testing.assert_allclose(normalized_cut_energy(y, features), 1.0, rtol=1e-4)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = normalized_cut_energy(tf.nn.softmax(x), features)
    assert np.isfinite(tape.gradient(value, x)).all()


def test_approximations_do_not_blow_up_where_colors_are_rare():
    """A class that lives on pixels that no landmark stands for: W_pp = 1 keeps its ratio a ratio."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.3, size=(1, 400, 3)).astype("float32")
    features[:, :10] = 40 * np.arange(1, 11)[:, None]
    y = np.zeros((1, 400, 2), "float32")
    y[:, :10, 1] = y[:, 10:, 0] = 1
    exact = gradient_of(normalized_cut_energy, y, features, None, "exact")
    found = gradient_of(normalized_cut_energy, y, features, None, "nystrom", landmarks=4)
    assert np.abs(found).max() < 2 * np.abs(exact).max()
    np.testing.assert_allclose(normalized_cut_energy(y, features, None, "nystrom", 4), 0, atol=0.05)


def test_empty_masks_give_zero():
    y, features, mask = case()
    for energy in (dense_crf_energy, normalized_cut_energy):
        assert not np.array(energy(y, features, 0 * mask)).any()
        assert not gradient_of(energy, y, features, 0 * mask).any()


def test_proposed_labels_match_the_loop():
    y, features, _ = case(pixels=20, batch=1)
    labels = np.full(20, -1)
    labels[[2, 5, 11]] = [0, 2, 1]
    shares = np.where(labels[:, None] >= 0, np.eye(3)[labels], 0.0)[None].astype("float32")
    want = oracles.adm_proposal(y[0].astype("float64"), oracles.dense_affinity(features[0]), labels, 3.0, 4)
    kernel = dense_gaussian_kernel(features, "exact")
    ones = np.ones((1, 20, 1), "float32")
    found = propose_labels(kernel, ops.convert_to_tensor(y), ones, shares, 3.0, 4)
    np.testing.assert_allclose(found[0], want, rtol=1e-4, atol=1e-6)


def test_no_gradient_flows_to_features_and_mask():
    y, features, mask = case()
    inputs = [tf.constant(features), tf.constant(mask)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = dense_crf_energy(y, *inputs) + normalized_cut_energy(y, *inputs)
    assert tape.gradient(value, inputs) == [None, None]


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
def test_half_precision_is_finite_and_float32(dtype):
    y, features, mask = (ops.cast(x, dtype) for x in case(pixels=200))
    for energy in (dense_crf_energy, normalized_cut_energy):
        value = energy(y, features, mask)
        assert value.dtype == tf.float32 and np.isfinite(value).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"probabilities": np.zeros((2, 35))}, r"probabilities must be \(batch, pixels, classes\)"),
        ({"features": np.zeros((2, 34, 5))}, r"features must match the pixels .* Received: shape \(2, 34\)"),
        ({"mask": np.zeros((2, 35, 1))}, r"mask must match the pixels .* Received: shape \(2, 35, 1\)"),
        ({"filter_method": "grid"}, "filter_method must be one of .* Received: filter_method='grid'"),
        ({"landmarks": 0}, "`landmarks` must be an integer of at least 1. Received: landmarks=0"),
        ({"seed": None}, "`seed` must be an integer. Received: seed=None"),
    ],
)
def test_bad_arguments_say_what_is_wrong(changes, text):
    y, features, mask = case()
    arguments = {"probabilities": y, "features": features, "mask": mask, **changes}
    for energy in (dense_crf_energy, normalized_cut_energy):
        with pytest.raises(ValueError, match=text):
            energy(**arguments)
