import logging

import numpy as np
import oracles
import pytest
import tensorflow as tf
import ways
from keras import ops
from PIL import Image

from keras_wsseg.ops import dense_gaussian_filter, dense_gaussian_kernel
from keras_wsseg.ops.dense_gaussian import _announced

WAYS = ("exact", "nystrom", "permutohedral")


def case(pixels=60, batch=2, classes=3, seed=0, spread=0.7):
    rng = np.random.default_rng(seed)
    features = spread * rng.normal(size=(batch, pixels, 5))
    return features.astype("float32"), rng.random((batch, pixels, classes)).astype("float32")


def wanted(features, values):
    return np.stack([oracles.dense_affinity(f) @ v for f, v in zip(features, values, strict=True)])


def error(found, want):
    return np.linalg.norm(found - want) / np.linalg.norm(want)


@pytest.mark.parametrize("pixels", (1, 7, 60, 97))
def test_exact_matches_the_matrix(pixels):
    features, values = case(pixels)
    found = dense_gaussian_filter(features, values, "exact")
    np.testing.assert_allclose(found, wanted(features, values), rtol=1e-5)


def test_exact_in_many_tiles_matches_the_matrix(monkeypatch):
    monkeypatch.setattr("keras_wsseg.ops.backend.kernel_budget", lambda: 1000)
    features, values = case(97)
    for run in (dense_gaussian_filter, tf.function(dense_gaussian_filter, jit_compile=True)):
        found = run(features, values, filter_method="exact")
        np.testing.assert_allclose(found, wanted(features, values), rtol=1e-5)


def test_landmarks_at_all_pixels_are_exact():
    features, values = case(60)
    found = dense_gaussian_filter(features, values, "nystrom", landmarks=60)
    # The jitter of the landmarks' kernel and centers shared by pixels keep it from being equal.
    assert error(found, wanted(features, values)) < 5e-3


def test_more_landmarks_come_nearer():
    features, values = case(400)
    want = wanted(features, values)
    errors = [error(dense_gaussian_filter(features, values, "nystrom", n), want) for n in (10, 40, 160)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.05


@pytest.mark.parametrize("way", WAYS)
def test_the_operator_is_symmetric_and_its_gradient_is_itself(way):
    features, values = case(40)
    kernel = dense_gaussian_kernel(features, way, landmarks=20)
    assert kernel.filter_method == way
    matrix = np.array(kernel.apply(np.broadcast_to(np.eye(40, dtype="float32"), (2, 40, 40))))
    np.testing.assert_allclose(matrix, matrix.transpose(0, 2, 1), atol=2e-4)
    assert np.linalg.eigvalsh(matrix.astype("float64")).min() > -1e-3
    x, weights = tf.constant(values), tf.constant(values[:, ::-1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(weights * kernel.apply(x))
    np.testing.assert_allclose(tape.gradient(total, x), kernel.apply(weights), rtol=1e-4, atol=1e-4)


# That of the lattice is in test_permutohedral.py.
@pytest.mark.parametrize("way", [way for way in WAYS if way != "permutohedral"])
def test_graph_xla_and_dynamic_sizes_agree_with_eager(way):
    # More pixels than the landmarks are chosen from, so that sizes known or not lead to the same ones.
    features, values = case(600, classes=2)

    def run(features, values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            out = dense_gaussian_filter(features, values, way, landmarks=64)
            total = tf.reduce_sum(out**2)
        return out, tape.gradient(total, values)

    arrays = tf.constant(features), tf.constant(values)
    want = run(*arrays)
    dynamic = [tf.TensorSpec([None, None, x.shape[-1]], tf.float32) for x in arrays]
    graph = tf.function(run)
    # XLA compiles what was traced already.
    for function in (graph, tf.function(graph, jit_compile=True), tf.function(run, input_signature=dynamic)):
        found = function(*arrays)
        np.testing.assert_allclose(found[0], want[0], rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(found[1], want[1], rtol=2e-3, atol=1e-1)


# The total of the test below as found on TensorFlow.
APPROXIMATE = {"nystrom": 1057.227, "permutohedral": 997.2136}


@pytest.mark.any_backend
@pytest.mark.parametrize("compiled", ways.FIRST_WAYS)
@pytest.mark.parametrize("way", WAYS)
def test_value_and_slope_on_every_backend_are_near_those_of_the_matrix(way, compiled):
    features, values = case(300, classes=2)
    weights = np.cos(np.arange(values.size)).reshape(values.shape).astype("float32")

    def total(values):
        out = dense_gaussian_filter(features, values, way, landmarks=150)
        return ops.sum(out * weights) + ops.mean(out**2)

    ((value, (slope,)),) = ways.value_and_slopes(total, values, ways=[compiled])
    sums = wanted(features, values)
    slopes = wanted(features, weights + 2 * sums / sums.size)
    farthest = {"exact": 1e-5, "nystrom": 0.02, "permutohedral": 0.15}[way]
    want = APPROXIMATE.get(way, (sums * weights).sum() + (sums**2).mean())
    np.testing.assert_allclose(value, want, rtol=1e-4 if way == "exact" else 1e-3)
    assert error(slope, slopes) < farthest


@pytest.mark.parametrize("way", WAYS)
def test_seeds_repeat_and_half_precision_is_float32_inside(way):
    features, values = case(200)
    first = dense_gaussian_filter(features, values, way, landmarks=32, seed=3)
    again = dense_gaussian_filter(features, values, way, landmarks=32, seed=3)
    np.testing.assert_array_equal(first, again)
    half = dense_gaussian_filter(ops.cast(features, "float16"), ops.cast(values, "float16"), way, 32, 3)
    assert half.dtype == tf.float32 and np.isfinite(half).all()
    np.testing.assert_allclose(half, first, rtol=0.1)


@pytest.mark.parametrize("way", WAYS)
def test_images_of_a_batch_do_not_meet(way):
    features, values = case(150, batch=3)
    together = dense_gaussian_filter(features, values, way, landmarks=32)
    for index in range(3):
        alone = dense_gaussian_filter(features[index : index + 1], values[index : index + 1], way, 32)
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-3, atol=1e-3)


def test_landmarks_are_spent_on_the_mask_alone():
    features, values = case(300)
    mask = (np.arange(300) < 60).astype("float32")[None].repeat(2, axis=0)
    # A wide scatter of colors outside would use up landmarks.
    features[:, 60:] *= 30
    want = wanted(features[:, :60], values[:, :60])
    values = values * mask[..., None]
    with_mask, without = (
        error(dense_gaussian_kernel(features, "nystrom", 40, 0, one).apply(values).numpy()[:, :60], want)
        for one in (mask, None)
    )
    assert with_mask < 0.05 and with_mask < without / 2


def test_seeds_choose_other_landmarks():
    features, values = case(200)
    one, other = (dense_gaussian_filter(features, values, "nystrom", 16, seed) for seed in (0, 1))
    assert not np.allclose(one, other)


def test_auto_takes_the_fastest_and_says_so(caplog):
    _announced.clear()
    with caplog.at_level(logging.INFO, "keras_wsseg"):
        small = dense_gaussian_kernel(np.zeros((1, 64, 2), "float32"), landmarks=16)
        for _ in range(2):
            large = dense_gaussian_kernel(np.zeros((1, 65, 2), "float32"), landmarks=16)
    assert (small.filter_method, large.filter_method) == ("exact", "auto")
    assert "over 64 pixels: filter_method='exact'" in caplog.text
    assert caplog.text.count("over 65 pixels: 'nystrom', or") == 1

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2], tf.float32)])
    def of_any_size(features):
        assert dense_gaussian_kernel(features).filter_method == "auto"
        return features

    of_any_size(np.zeros((1, 3, 2), "float32"))


def test_far_features_keep_their_digits():
    features, values = case(50)
    for way in ("exact", "nystrom"):
        near = dense_gaussian_filter(features, values, way, landmarks=30)
        far = dense_gaussian_filter(features + np.float32(500), values, way, landmarks=30)
        np.testing.assert_allclose(far, near, rtol=5e-3)


def lines(size, sigma_rgb, sigma_xy=50):
    """Features of a flat image in black and white with a pattern of lines, and values."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    image = np.zeros((size, size, 3))
    image[::4] = image[:, ::7] = 1
    features = np.concatenate([grid / sigma_xy, image / sigma_rgb], axis=-1)
    values = np.random.default_rng(0).random((1, size * size, 2)).astype("float32")
    return features.reshape(1, -1, 5).astype("float32"), values


@pytest.mark.any_backend
@pytest.mark.parametrize("sigma_rgb", (0.02, 0.003, 0.001, 1e-4))
def test_narrow_kernels_on_black_and_white(sigma_rgb):
    features, values = lines(48, sigma_rgb)
    squares = sum(np.square(np.subtract.outer(f, f)) for f in features[0].T.astype("float64"))
    want = (np.exp(-0.5 * squares) @ values[0])[None]
    assert error(np.array(dense_gaussian_filter(features, values, "exact")), want) < 5e-4
    # Its landmarks' kernel is singular but for its jitter: digits lost there would leave it without a factor.
    assert error(np.array(dense_gaussian_filter(features, values, "nystrom")), want) < 1e-3
    assert error(np.array(dense_gaussian_filter(features, values, "permutohedral")), want) < 0.1


def photographs(folder, size=128):
    """Four photographs' features with the public widths: 15 of 255, and 100 px of 512."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    features = []
    for path in sorted((folder / "voc_mini" / "images").iterdir())[:4]:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        features.append(np.concatenate([grid / (100 * size / 512), np.array(image) / 15.0], axis=-1))
    return np.stack(features).reshape(4, size * size, 5).astype("float32")


def test_landmarks_on_photographs(real_data):
    features = photographs(real_data)
    values = np.random.default_rng(0).random((4, 128 * 128, 2)).astype("float32")
    exact = dense_gaussian_filter(features, values, "exact").numpy()
    found = dense_gaussian_filter(features, values, "nystrom", landmarks=512).numpy()
    for one, other in zip(found, exact, strict=True):
        assert error(one, other) <= 0.04
        assert abs(one.sum() / other.sum() - 1) <= 0.03


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"features": np.zeros((3, 2))},
            r"features must be \(batch, pixels, channels\). Received: .* \(3, 2\)",
        ),
        (
            {"values": np.zeros((1, 4, 1))},
            r"values must be \(batch, pixels, classes\) over .*\(1, 3\). Received",
        ),
        ({"values": np.zeros((1, 3))}, r"values must be \(batch, pixels, classes\)"),
        (
            {"filter_method": "fast"},
            r"filter_method must be one of \('auto', .*\). Received: filter_method='fast'",
        ),
        ({"landmarks": 0}, "`landmarks` must be an integer of at least 1. Received: landmarks=0"),
        ({"landmarks": 2.0}, "`landmarks` must be an integer of at least 1. Received: landmarks=2.0"),
        ({"seed": "a"}, "`seed` must be an integer. Received: seed='a'"),
    ],
)
def test_bad_arguments_say_what_is_wrong(arguments, text):
    good = {"features": np.zeros((1, 3, 2), "float32"), "values": np.zeros((1, 3, 1), "float32")}
    with pytest.raises(ValueError, match=text):
        dense_gaussian_filter(**{**good, **arguments})
