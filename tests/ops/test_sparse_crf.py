import numpy as np
import oracles
import pytest
import tensorflow as tf

from keras_wsseg.ops import neighbor_weights, sparse_crf_energy


def case(size=(6, 9), seed=0, images=2):
    rng = np.random.default_rng(seed)
    x, guide = rng.random((images, *size)), rng.random((images, *size, 3))
    return x, guide, rng.random((images, *size)) < 0.7


def slope(x, guide, sigma_rgb, mask=None):
    x = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        energy = sparse_crf_energy(x, guide, sigma_rgb, mask)
    return energy, np.array(tape.gradient(energy, x))


def test_weights_of_each_pair():
    _, guide, _ = case((3, 4))
    below, beside = (np.array(w) for w in neighbor_weights(guide, 0.4))
    assert below.shape == (2, 2, 4) and beside.shape == (2, 3, 3)
    for i, row, column in np.ndindex(below.shape):
        difference = np.sum((guide[i, row, column] - guide[i, row + 1, column]) ** 2)
        assert below[i, row, column] == pytest.approx(np.exp(-difference / 0.32), rel=1e-5)
    for i, row, column in np.ndindex(beside.shape):
        difference = np.sum((guide[i, row, column] - guide[i, row, column + 1]) ** 2)
        assert beside[i, row, column] == pytest.approx(np.exp(-difference / 0.32), rel=1e-5)


@pytest.mark.parametrize("size", ((6, 9), (1, 7), (7, 1), (1, 1), (2, 2)))
@pytest.mark.parametrize("masked", (False, True))
def test_value(size, masked):
    x, guide, mask = case(size)
    found = sparse_crf_energy(x, guide, 0.3, mask if masked else None)
    want = [
        oracles.sparse_crf(*one[:2], 0.3, one[2] if masked else None)
        for one in zip(x, guide, mask, strict=True)
    ]
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-9)


def test_an_outline_costs_what_its_pairs_do_at_any_size():
    flat = np.zeros((1, 12, 10, 3))
    rows, columns = np.indices((12, 10))
    for size in ((12, 10), (5, 4), (3, 7)):
        inner = (slice(None), slice(size[0]), slice(size[1]))
        for x, cost in (((rows + columns) % 2, 1.0), (columns % 2, 0.5), (np.full((12, 10), 0.3), 0.0)):
            energy = sparse_crf_energy(x[None][inner], flat[inner], 0.15)
            assert float(energy[0]) == pytest.approx(cost, abs=1e-6)


def test_a_constant_costs_nothing_whatever_the_image():
    _, guide, _ = case()
    energy, gradient = slope(np.full((2, 6, 9), 0.7), guide, 0.15)
    assert not np.any(energy) and not gradient.any()


def test_flips_and_transposition_change_nothing():
    x, guide, mask = case()
    want = sparse_crf_energy(x, guide, 0.3, mask)
    flips = [lambda a: a[:, ::-1], lambda a: a[:, :, ::-1], lambda a: np.swapaxes(a, 1, 2)]
    for flip in flips:
        np.testing.assert_allclose(sparse_crf_energy(flip(x), flip(guide), 0.3, flip(mask)), want, rtol=1e-5)


def test_wide_sigma_forgets_the_colors_and_narrow_sigma_the_smoothness():
    x, guide, _ = case()
    flat = sparse_crf_energy(x, np.zeros_like(guide), 0.15)
    np.testing.assert_allclose(sparse_crf_energy(x, guide, 1e4), flat, rtol=1e-5)
    assert np.all(sparse_crf_energy(x, guide, 1e-3) < 1e-6)


@pytest.mark.parametrize("masked", (False, True))
def test_gradient_by_finite_differences(masked):
    x, guide, mask = case((4, 5), images=1)
    _, gradient = slope(x, guide, 0.4, mask if masked else None)
    want = oracles.numeric_gradient(
        lambda z: oracles.sparse_crf(z[0], guide[0], 0.4, mask[0] if masked else None), x, 1e-6
    )
    np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("size", ((4, 5), (1, 1)))
def test_no_pair_gives_zero_and_no_gradient(size):
    x, guide, mask = case(size)
    energy, gradient = slope(x, guide, 0.15, np.zeros_like(mask))
    assert not np.any(energy) and np.isfinite(gradient).all() and not gradient.any()


def test_size_known_at_run_time_only_and_half_precision():
    x, guide, mask = case()
    anything = [tf.TensorSpec((None, None, None), kind) for kind in ("float16", "bool")]
    compiled = tf.function(
        lambda x, mask, guide: sparse_crf_energy(x, guide, 0.3, mask),
        input_signature=[*anything, tf.TensorSpec((None, None, None, 3), "float32")],
    )
    found = compiled(x.astype("float16"), mask, guide.astype("float32"))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, sparse_crf_energy(x, guide, 0.3, mask), rtol=3e-3)


def test_a_sigma_whose_square_is_no_number_tells_equal_from_unequal():
    row = np.array([0.0, 0.0, 1e-3, 1.0, 1.0], "float32").reshape(1, 1, 5, 1)
    _, beside = neighbor_weights(row, 1e-25)
    assert np.ravel(beside).tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("sigma_rgb", (0, -0.1, float("nan")))
def test_sigma_must_be_above_zero(sigma_rgb):
    with pytest.raises(ValueError, match="`sigma_rgb` must be a number above 0. Received: sigma_rgb="):
        neighbor_weights(np.zeros((1, 2, 2, 3), "float32"), sigma_rgb)
