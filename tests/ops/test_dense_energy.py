import numpy as np
import oracles
import pytest
import tag_oracles
import tensorflow as tf
from PIL import Image

from keras_wsseg.ops import dense_energy, dense_gaussian_kernel
from keras_wsseg.ops.dense_kernels import SeparableGaussian


def case(pixels=21, batch=2, classes=3, seed=0, spread=0.7):
    """Probabilities, features, a gate and a mask that leaves some pixels out."""
    rng = np.random.default_rng(seed)
    y = oracles.softmax(2 * rng.normal(size=(batch, pixels, classes))).astype("float32")
    features = (spread * rng.normal(size=(batch, pixels, 5))).astype("float32")
    gate = rng.random((batch, pixels, 1)).astype("float32")
    return y, features, gate, (rng.random((batch, pixels, 1)) > 0.3).astype("float32")


def affinity(features, mask):
    matrix = oracles.dense_affinity(features) * np.outer(mask[:, 0], mask[:, 0])
    np.fill_diagonal(matrix, 0)
    return matrix


def value_and_gradient(y, features, gate, mask, **options):
    y = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        energy, mass = dense_energy(dense_gaussian_kernel(features, **options), y, gate, mask)
        total = tf.reduce_sum(energy)
    return energy.numpy(), mass.numpy(), tape.gradient(total, y).numpy()


def test_energy_and_mass_match_the_double_sum():
    y, features, gate, mask = case()
    energy, mass, _ = value_and_gradient(y, features, gate, mask)
    for i in range(2):
        matrix = affinity(features[i], mask[i])
        want = tag_oracles.dense_energy(y[i].astype("float64"), gate[i, :, 0], matrix)
        np.testing.assert_allclose(energy[i], want, rtol=1e-5)
        np.testing.assert_allclose(mass[i], matrix.sum(), rtol=1e-5)
        assert 0 < energy[i] < mass[i]


def test_gradient_is_that_of_the_energy_and_not_the_one_sided_one():
    y, features, gate, mask = case(batch=1)
    found = value_and_gradient(y, features, gate, mask)[2][0]
    p, s = y[0].astype("float64"), gate[0].astype("float64")
    p /= p.sum(axis=1, keepdims=True)
    matrix = affinity(features[0], mask[0])
    # Differences in each class by itself, over probabilities that then no longer sum to one.
    numeric = oracles.numeric_gradient(lambda q: tag_oracles.dense_energy(q, s[:, 0], matrix), p)
    exact = s * (matrix @ (1 - p)) - matrix @ (s * p)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)

    def behind_a_softmax(gradient):
        return p * (gradient - np.sum(p * gradient, axis=1, keepdims=True))

    one_sided = behind_a_softmax(-2 * s * (matrix @ p))
    off = np.linalg.norm(one_sided - behind_a_softmax(exact)) / np.linalg.norm(behind_a_softmax(exact))
    assert off > 0.2
    # With one gate for all pixels the two are the same.
    np.testing.assert_allclose(
        behind_a_softmax(-2 * 0.4 * (matrix @ p)),
        behind_a_softmax(0.4 * (matrix @ (1 - p)) - matrix @ (0.4 * p)),
        atol=1e-12,
    )


def test_no_gradient_flows_to_gate_and_mask():
    y, features, gate, mask = (tf.constant(x) for x in case())
    with tf.GradientTape() as tape:
        tape.watch([gate, mask])
        energy = dense_energy(dense_gaussian_kernel(features), y, gate, tf.stop_gradient(mask))[0]
    assert tape.gradient(energy, [gate, mask]) == [None, None]


def test_agreeing_pixels_closed_gates_and_empty_masks_have_no_energy():
    y, features, gate, mask = case()
    agreed = np.zeros_like(y)
    agreed[..., 1] = 1
    for arguments in (
        (agreed, features, gate, mask),
        (y, features, 0 * gate, mask),
        (y, features, gate, 0 * mask),
    ):
        np.testing.assert_allclose(value_and_gradient(*arguments)[0], 0, atol=1e-4)
    energy, mass, slope = value_and_gradient(y, features, gate, 0 * mask)
    assert not energy.any() and not mass.any() and not slope.any()


@pytest.mark.parametrize(("filter_method", "tolerance"), (("nystrom", 0.01), ("permutohedral", 0.15)))
def test_approximations_come_near(filter_method, tolerance):
    arguments = case(pixels=300, spread=0.5)
    exact = value_and_gradient(*arguments, filter_method="exact")
    found = value_and_gradient(*arguments, filter_method=filter_method, landmarks=150)
    np.testing.assert_allclose(found[0], exact[0], rtol=tolerance)
    np.testing.assert_allclose(found[1], exact[1], rtol=tolerance)
    assert np.linalg.norm(found[2] - exact[2]) < tolerance * np.linalg.norm(exact[2])


def test_negative_entries_of_an_approximation_never_give_a_negative_energy():
    features = np.random.default_rng(0).normal(0, 3, size=(1, 60, 2)).astype("float32")
    kernel = dense_gaussian_kernel(features, "nystrom", landmarks=12)
    matrix = np.array(kernel.apply(np.eye(60, dtype="float32")[None]))[0]
    pair = np.unravel_index(matrix.argmin(), matrix.shape)
    assert matrix[pair] < -0.01
    # Of all pixels only these two are there, each sure of its own class.
    mask = np.zeros((1, 60, 1), "float32")
    mask[0, pair, 0] = 1
    y = np.zeros((1, 60, 2), "float32")
    y[..., 0] = 1
    y[0, pair[0]] = [0, 1]
    energy, mass = dense_energy(kernel, y, np.ones_like(mask), mask)
    assert float(energy[0]) == 0 and float(mass[0]) == 0


def test_landmarks_too_few_leave_no_more_than_a_pixels_own_share():
    """Pixels that look like no other have no share but their own, which is taken off."""
    y, _, gate, mask = case(pixels=200)
    features = np.random.default_rng(1).normal(0, 20, size=(2, 200, 5)).astype("float32")
    energy, mass, slope = value_and_gradient(y, features, gate, mask, filter_method="nystrom", landmarks=20)
    assert (energy >= 0).all() and (energy <= mass).all() and np.isfinite(slope).all()
    assert (mass < 0.2).all()


def true_diagonal(kernel, batch, pixels):
    eye = np.broadcast_to(np.eye(pixels, dtype="float32"), (batch, pixels, pixels))
    return np.diagonal(np.array(kernel.apply(eye)), axis1=1, axis2=2)[..., None]


@pytest.mark.parametrize("landmarks", (5, 40))
def test_landmarks_know_their_diagonal(landmarks):
    features = case(pixels=60)[1]
    kernel = dense_gaussian_kernel(features, "nystrom", landmarks)
    found = np.array(kernel.diagonal())
    assert found.shape == (2, 60, 1) and (found >= 0).all() and (found <= 1).all() and found.min() < 0.95
    np.testing.assert_allclose(found, true_diagonal(kernel, 2, 60), atol=2e-3)


def test_exact_kernels_have_ones_on_their_diagonal():
    features = case(pixels=20)[1]
    kernel = dense_gaussian_kernel(features, "exact")
    np.testing.assert_array_equal(kernel.diagonal(), np.ones((2, 20, 1)))
    np.testing.assert_allclose(true_diagonal(kernel, 2, 20), 1, atol=1e-5)
    np.testing.assert_array_equal(SeparableGaussian(2, 3, 1.0).diagonal(), np.ones((1, 6, 1)))


def test_the_lattice_comes_near_its_diagonal(real_data):
    size = 28
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1) * 512 / size
    features = []
    for path in sorted((real_data / "voc_mini" / "images").iterdir())[:2]:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BOX)
        features.append(np.concatenate([places / 100, np.asarray(image) / 15], -1).reshape(-1, 5))
    kernel = dense_gaussian_kernel(np.stack(features).astype("float32"), "permutohedral")
    want = true_diagonal(kernel, 2, size * size)
    off = np.sqrt(np.mean((np.array(kernel.diagonal()) - want) ** 2))
    assert off < 0.07 and off < 0.9 * np.sqrt(np.mean((1 - want) ** 2))


def test_position_kernels_take_a_sigma_an_axis():
    values = np.random.default_rng(0).random((1, 6, 2)).astype("float32")
    grid = np.stack(np.meshgrid(np.arange(2) / 0.7, np.arange(3) / 2.0, indexing="ij"), -1).reshape(6, 2)
    found = SeparableGaussian(2, 3, (0.7, 2.0)).apply(values)
    np.testing.assert_allclose(found[0], oracles.dense_affinity(grid) @ values[0], rtol=1e-5)
