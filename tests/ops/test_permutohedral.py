import keras
import numpy as np
import pytest
import tensorflow as tf
import ways
from PIL import Image

from keras_wsseg.ops import permutohedral
from keras_wsseg.ops.permutohedral import PermutohedralLattice


def exact(features, values, every=1):
    """The sums by the definition for one image, at every so many pixels of it."""
    squares, out = (features**2).sum(-1), []
    for rows in np.array_split(np.arange(0, len(features), every), len(features) // 512 + 1):
        exponent = features[rows] @ features.T - squares[rows, None] / 2 - squares / 2
        out.append(np.exp(np.minimum(exponent, 0)) @ values)
    return np.concatenate(out).astype("float64")


def smooth(size, channels, batch=1, seed=0):
    """Features of smooth random images over a grid of positions, as many channels as asked for."""
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(*map(np.arange, size), indexing="ij")
    places = np.stack([rows, columns], -1).reshape(-1, 2) / 6
    waves = np.sin(places[None, :, :1] * rng.uniform(0.2, 1, (batch, 1, channels)) + places[None, :, 1:])
    waves = 2 * waves + 0.1 * rng.normal(size=waves.shape)
    waves[:, :, :2] = places[:, : min(channels, 2)]
    return waves.astype("float32")


def onehot(pixels, classes=3, batch=1, seed=1):
    """One-hot values and a last channel of ones."""
    rng = np.random.default_rng(seed)
    values = np.eye(classes)[rng.integers(0, classes, (batch, pixels // 8 + 1)).repeat(8, 1)[:, :pixels]]
    return np.concatenate([values, np.ones((batch, pixels, 1))], -1).astype("float32")


def lattice_filter(features, values, seed=0):
    return PermutohedralLattice(features, seed).apply(values)


def off(got, want):
    return np.linalg.norm(np.array(got) - want) / np.linalg.norm(want)


@pytest.mark.parametrize("channels", (1, 2, 3, 5, 8))
def test_close_to_the_exact_sum_with_an_unbiased_total(channels):
    features = smooth((32, 30), channels)
    values = onehot(32 * 30)
    want = exact(features[0], values[0])
    got = np.array(lattice_filter(features, values))[0]
    assert got.dtype == np.float32
    assert off(got, want) < 0.12
    np.testing.assert_allclose(got[:, -1].sum(), want[:, -1].sum(), rtol=0.02)


def test_photographs_within_the_promised_error(real_data):
    paths = sorted((real_data / "voc_mini" / "images").iterdir())
    paths = paths[:: max(len(paths) // 4, 1)][:4]
    size = 128
    values = onehot(size * size)
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    places = np.stack([rows, columns], -1) / (100 * size / 512)
    for path in paths:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        features = np.concatenate([places, np.asarray(image) / 15], -1).reshape(1, -1, 5).astype("float32")
        want = exact(features[0], values[0], every=7)
        got = np.array(lattice_filter(features, values))[0, ::7]
        assert off(got, want) < 0.12, path
        np.testing.assert_allclose(got[:, -1].sum(), want[:, -1].sum(), rtol=0.02, err_msg=str(path))


@pytest.mark.parametrize("channels", (2, 5))
def test_operator_is_symmetric_without_negative_entries(channels):
    features = smooth((13, 11), channels)
    pixels = features.shape[1]
    matrix = np.array(lattice_filter(features, np.eye(pixels, dtype="float32")[None]))[0]
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5 * matrix.max())
    assert matrix.min() >= 0
    spectrum = np.linalg.eigvalsh(matrix.astype("float64"))
    assert spectrum[0] > -1e-3 * spectrum[-1]


@pytest.mark.parametrize("channels", (1, 2, 3, 5, 8))
def test_corners_surround_their_pixel(channels):
    features = smooth((9, 7), channels, batch=2)
    (keys,), (steps,), weights = map(np.array, permutohedral._simplices(tf.constant(features)))
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-6)
    # Keys are linear in the place, so the weighted mean of the corners' is that of the pixel: differences of
    # features must come back from it.
    found = (weights * keys.reshape(weights.shape).astype("float64")).sum(0)
    slant = (np.sqrt(channels + 1) - 1) / channels
    flat = features.reshape(-1, channels).astype("float64")
    place = np.sqrt(2 / 3) * (flat + slant * flat.sum(1, keepdims=True))
    wanted = place @ steps[:channels]
    half = features.shape[1]
    for image in (slice(0, half), slice(half, None)):
        difference = (found - wanted)[image]
        np.testing.assert_allclose(difference, difference.mean(), atol=1e-5 * steps.max() * channels)


def test_points_of_the_lattice_need_one_corner():
    """There all fractional parts are equal, so no order of them is right or wrong."""
    channels, whole = 3, np.array([[0.0, 2.0, -1.0], [5.0, 0.0, 0.0], [-3.0, -3.0, 4.0]])
    place = whole - np.arange(1, channels + 1) / (channels + 1)
    slant = (np.sqrt(channels + 1) - 1) / channels
    embedding = np.sqrt(2 / 3) * (np.eye(channels) + slant)
    features = np.linalg.solve(embedding, place.T).T.astype("float32")[None]
    _, _, weights = permutohedral._simplices(tf.constant(features))
    np.testing.assert_allclose(np.max(weights, axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(np.sum(weights, axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("color", (0.0, 0.3, 17.1))
def test_pixels_that_look_alike_are_summed(color):
    features = np.full((2, 40, 5), color, "float32")
    values = onehot(40, batch=2)
    want = np.broadcast_to(values.sum(1, keepdims=True), values.shape)
    np.testing.assert_allclose(lattice_filter(features, values), want, rtol=1e-4)


def test_far_apart_pixels_keep_their_values():
    features = np.array([[[0.0, 0.0], [90.0, 0.0], [0.0, 300.0]]], "float32")
    values = np.arange(6, dtype="float32").reshape(1, 3, 2)
    got = np.array(lattice_filter(features, values))
    # Each lies elsewhere in its simplex and only the total is fitted.
    np.testing.assert_allclose(got, values, rtol=0.6)
    assert (got > 0).sum() == (values > 0).sum()
    ones = lattice_filter(features, np.ones((1, 3, 1), "float32"))
    np.testing.assert_allclose(np.sum(ones), 3, rtol=1e-4)


def test_images_of_a_batch_do_not_mix():
    features = np.concatenate([smooth((12, 10), 5), smooth((12, 10), 5, seed=3) * 2 + 7])
    values = onehot(120, batch=2)
    together = np.array(lattice_filter(features, values))
    for item in range(2):
        alone = lattice_filter(features[item : item + 1], values[item : item + 1])
        np.testing.assert_allclose(together[item : item + 1], alone, rtol=1e-4, atol=1e-5)


def test_eager_graph_and_xla_agree_with_static_and_dynamic_sizes():
    """The scales make for a lattice of few, of many and of nearly all possible points."""

    def run(features, values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            sums = lattice_filter(features, values)
        return sums, tape.gradient(sums, values, tf.sin(values))

    values = tf.constant(onehot(600, batch=2))
    dynamic = [tf.TensorSpec([None, None, channels], tf.float32) for channels in (3, values.shape[-1])]
    static, graph = tf.function(run), tf.function(run, input_signature=dynamic)
    # XLA compiles what was traced already.
    xla = tf.function(graph, input_signature=dynamic, jit_compile=True)
    rows = []
    for scale in (0.1, 3.0, 40.0):
        features = tf.constant(smooth((20, 30), 3, batch=2) * scale)
        rows.append(int(permutohedral.lattice_tensors(features)[-1]))
        want = run(features, values)
        for function in (static, graph, xla):
            for got, wanted in zip(function(features, values), want, strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)
    possible = 2 * 600 * 4
    assert rows[0] < possible / 32 < possible / 8 < rows[1] < possible / 3 < rows[2]


def test_compiled_work_grows_with_the_lattice(monkeypatch):
    sizes = []
    inner = permutohedral._filter
    monkeypatch.setattr(
        permutohedral, "_filter", lambda rows, *rest: sizes.append(rows) or inner(rows, *rest)
    )
    for scale in (0.1, 1.0, 10.0):
        PermutohedralLattice(tf.constant(smooth((40, 40), 3) * scale))
    assert sizes[0] < sizes[1] < sizes[2] <= 40 * 40 * 4 + 1


@pytest.mark.any_backend
def test_backends_agree_and_leave_the_features_alone():
    features, values = smooth((20, 21), 5, batch=2), onehot(420, batch=2)
    probe = np.cos(np.arange(values.size)).reshape(values.shape)

    def total(values, features, probe):
        return keras.ops.sum(PermutohedralLattice(features).apply(values) * probe)

    ((_, (of_probe, stopped, sums)),) = ways.value_and_slopes(
        total, values, features, probe, ways=ways.QUICK_WAYS[:1]
    )
    # As found eagerly on TensorFlow.
    np.testing.assert_allclose(ways.fingerprint(sums), [1989.343, -9.06697, -2.36842, 13.74094], atol=1)
    np.testing.assert_allclose(
        ways.fingerprint(of_probe), [21.47685, -0.0766282, -0.252289, 0.1468992], atol=0.01
    )
    assert not stopped.any()


def test_gradient_is_the_operator_once_more():
    features, values = tf.constant(smooth((20, 21), 5, batch=2)), tf.constant(onehot(420, batch=2))
    probe = tf.constant(np.random.default_rng(5).normal(size=values.shape).astype("float32"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([values, features])
        lattice = PermutohedralLattice(features)
        product = tf.reduce_sum(lattice.apply(values) * probe)
    np.testing.assert_allclose(tape.gradient(product, values), lattice.apply(probe), rtol=1e-5, atol=1e-5)
    assert tape.gradient(product, features) is None


def test_same_seed_same_result():
    features, values = smooth((24, 24), 5), onehot(576)
    first, again, other = (np.array(lattice_filter(features, values, seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_allclose(first, other, rtol=0.05)


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
def test_half_precision_in_float32_inside(dtype):
    features = keras.ops.cast(smooth((40, 40), 5), dtype)
    values = keras.ops.cast(onehot(1600), dtype)
    got = lattice_filter(features, values)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    want = lattice_filter(keras.ops.cast(features, "float32"), keras.ops.cast(values, "float32"))
    np.testing.assert_array_equal(got, want)
    assert np.isfinite(np.array(got)).all()


def test_one_lattice_serves_several_values():
    features, values = smooth((10, 10), 5), onehot(100)
    lattice = PermutohedralLattice(features)
    whole = np.array(lattice.apply(values))
    np.testing.assert_allclose(lattice.apply(values[..., 1:2])[..., 0], whole[..., 1], rtol=1e-5, atol=1e-6)
    assert not np.array(lattice.apply(np.zeros_like(values))).any()


@pytest.mark.any_backend
@pytest.mark.parametrize("channels", (5, 8))
def test_cells_that_are_too_many_to_number_are_told_apart_all_the_same(channels):
    near = smooth((12, 10), channels)
    far = 1e6 * np.random.default_rng(0).integers(0, 2, near.shape).astype("float32")
    values = onehot(120, batch=2)
    # Groups of pixels so far apart that they do not meet, and the same pixels in one place.
    (run,) = ways.compiled(lattice_filter, ways.QUICK_WAYS[0])
    for features in (np.concatenate([near, far]), np.concatenate([near, 1e3 * far])):
        got = np.array(run(features, values))
        together = np.array(run(np.concatenate([near, near]), values))
        np.testing.assert_allclose(got[0], together[0], rtol=1e-5, atol=1e-5)
        alike = (features[1][:, None] == features[1][None]).all(-1).astype("float32")
        assert off(got[1], alike @ values[1]) < 0.2


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"features must be .* Received: a tensor of shape \(4, 5\)"):
        PermutohedralLattice(np.zeros((4, 5), "float32"))
    lattice = PermutohedralLattice(np.zeros((1, 4, 2), "float32"))
    with pytest.raises(ValueError, match=r"values must be .* \(1, 4\). Received: a tensor of shape \(4, 1\)"):
        lattice.apply(np.zeros((4, 1), "float32"))
    with pytest.raises(ValueError, match=r"values must be .* Received: a tensor of shape \(1, 5, 1\)"):
        lattice.apply(np.zeros((1, 5, 1), "float32"))
