import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
import ways

from keras_wsseg.ops.dense_kernels import SeparableGaussian
from keras_wsseg.ops.mean_field import mean_field

MATRIX = np.array([[0.1, 1.0, 0.4], [0.7, 0.0, 1.2], [-0.3, 0.9, 0.2]])
XY, WEIGHTS = [2.0, 4.0, None], [0.7, 1.5, 0.4]


def example(size, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(batch, *size, 3)).astype("float32")
    color, gray = (rng.normal(size=(batch, *size, c)).astype("float32") for c in (3, 1))
    return logits, [None, color, gray]


def expected(
    logits, features, radius, compatibility, iterations, normalization, include_self, weights=WEIGHTS
):
    settings = (radius, compatibility, iterations, normalization, include_self)
    return np.stack(
        [
            oracles.mean_field(
                logits[i], [None if f is None else f[i] for f in features], XY, weights, *settings
            )
            for i in range(len(logits))
        ]
    )


@pytest.mark.parametrize("normalization", ("symmetric", "row", "none"))
@pytest.mark.parametrize("radius", (None, 1, 3, 12))
@pytest.mark.parametrize("size", ((9, 11), (2, 3)))
def test_matches_the_matrices(size, radius, normalization):
    logits, features = example(size)
    weights = [weight / 10 if normalization == "none" else weight for weight in WEIGHTS]
    for iterations, matrix, include_self in ((1, None, False), (2, MATRIX, False), (3, None, True)):
        settings = (radius, matrix, iterations, normalization, include_self)
        out = mean_field(logits, features, XY, weights, *settings)
        want = expected(logits, features, *settings, weights)
        np.testing.assert_allclose(np.array(out), want, atol=2e-5)


def test_the_pixel_itself_takes_part_by_default_where_all_pixels_are_neighbors():
    logits, features = example((5, 6))
    for radius in (None, 2):
        out = mean_field(logits, features, XY, WEIGHTS, radius)
        want = expected(logits, features, radius, None, 5, "symmetric", radius is None)
        np.testing.assert_allclose(np.array(out), want, atol=2e-5)


@pytest.mark.parametrize("normalization", ("symmetric", "row", "none"))
@pytest.mark.parametrize("radius", (None, 2))
def test_gradients_by_finite_differences(radius, normalization):
    """To logits, kernel weights and compatibility, through two steps; 2 x 9 pixels span two tiles."""
    logits, features = example((2, 9), batch=1, seed=1)
    settings = (2, normalization, radius is None)
    factors = np.random.default_rng(2).normal(size=logits.shape)

    def value(logits, weights, matrix):
        out = expected(logits, features, radius, matrix, *settings, weights=weights)
        return np.sum(factors * out)

    inputs = [tf.constant(x, tf.float32) for x in (logits, WEIGHTS, MATRIX)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        weights = [inputs[1][i] for i in range(3)]
        out = mean_field(inputs[0], features, XY, weights, radius, inputs[2], *settings)
        total = tf.reduce_sum(out * factors.astype("float32"))
    ours = tape.gradient(total, inputs)
    arguments = [logits.astype("float64"), np.array(WEIGHTS), MATRIX]
    for index in range(3):

        def alone(x, index=index):
            return value(*arguments[:index], x, *arguments[index + 1 :])

        theirs = oracles.numeric_gradient(alone, arguments[index])
        np.testing.assert_allclose(ours[index], theirs, rtol=2e-4, atol=2e-4)


def test_gradient_to_logits_with_fixed_weights():
    """Fixed weights share one matrix, which is another path."""
    logits, features = example((3, 9), batch=1, seed=1)
    factors = np.random.default_rng(2).normal(size=logits.shape)
    variable = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        out = mean_field(variable, features, XY, WEIGHTS, radius=2, iterations=3)
        total = tf.reduce_sum(out * factors.astype("float32"))
    theirs = oracles.numeric_gradient(
        lambda x: np.sum(factors * expected(x, features, 2, None, 3, "symmetric", False)),
        logits.astype("float64"),
    )
    np.testing.assert_allclose(tape.gradient(total, variable), theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.any_backend
@pytest.mark.parametrize(("radius", "normalization"), ((3, "symmetric"), (None, "row")))
def test_value_and_slopes_in_every_way_are_those_of_the_matrices(radius, normalization):
    logits, features = example((9, 10))
    weights = np.array(WEIGHTS)
    probe = np.cos(np.arange(logits.size)).reshape(logits.shape)

    def total(ops, logits, weights, run):
        out = run(logits, features, [weights[i] for i in range(3)])
        return ops.sum(out * ops.cos(out))

    def matrices(logits, weights):
        def run(logits, features, weights):
            return expected(logits, features, radius, None, 2, normalization, radius is None, weights)

        return total(np, logits, weights, run)

    def ours(logits, weights):
        def run(logits, features, weights):
            return mean_field(logits, features, XY, weights, radius, None, 2, normalization)

        return total(keras.ops, logits, weights, run)

    single, logits = logits, logits.astype("float64")
    total_of_all = matrices(logits, weights)
    along = (matrices(logits + 1e-4 * probe, weights) - matrices(logits - 1e-4 * probe, weights)) / 2e-4
    by_weight = oracles.numeric_gradient(lambda weights: matrices(logits, weights), weights)
    found = ways.value_and_slopes(ours, single, weights, ways=ways.QUICK_WAYS)
    for value, (to_logits, to_weights) in found:
        np.testing.assert_allclose(value, total_of_all, rtol=1e-4)
        np.testing.assert_allclose((to_logits * probe).sum(), along, rtol=1e-3)
        np.testing.assert_allclose(to_weights, by_weight, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("radius", "xla"), ((3, True), (3, False), (None, False)))
def test_sizes_that_are_known_at_run_time_only(radius, xla):
    filter_method = "exact" if radius is None else "auto"

    def run(logits, image):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            out = mean_field(logits, [None, image], XY[:2], WEIGHTS[:2], radius, filter_method=filter_method)
            total = tf.reduce_sum(out * tf.cos(out))
        return out, tape.gradient(total, logits)

    signature = [tf.TensorSpec([None, None, None, 3])] * 2
    compiled = tf.function(run, jit_compile=xla, input_signature=signature)
    for size in ((9, 13), (1, 3)):
        logits, (_, image, _) = example(size)
        pair = tf.constant(logits), tf.constant(image)
        for a, b in zip(compiled(*pair), run(*pair), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_pixel_that_resembles_no_other_keeps_its_prediction():
    logits = np.zeros((1, 3, 3, 2), "float32")
    logits[..., 0] = 2.0
    logits[0, 1, 1] = [0.0, 1.0]
    color = np.zeros((1, 3, 3, 1), "float32")
    color[0, 1, 1] = 100.0
    for radius in (None, 1):
        for normalization in ("symmetric", "row", "none"):
            out = mean_field(logits, [color], [None], [5.0], radius, None, 5, normalization, False)
            np.testing.assert_allclose(
                np.array(out)[0, 1, 1], np.log(oracles.softmax(logits[0, 1, 1])), rtol=1e-5
            )


def test_half_precision_is_computed_in_full():
    logits, features = example((6, 7))
    halves = logits.astype("float16")
    out = mean_field(halves, features, XY, WEIGHTS, 3)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    want = mean_field(halves.astype("float32"), features, XY, WEIGHTS, 3)
    np.testing.assert_array_equal(np.array(out), np.array(want))


def test_separable_kernel_is_the_sum_over_all_pairs():
    values = np.random.default_rng(0).normal(size=(2, 5 * 7, 3)).astype("float32")
    places = np.array(list(np.ndindex(5, 7))) / 1.7
    out = np.array(SeparableGaussian(5, 7, 1.7).apply(values))
    np.testing.assert_allclose(out, oracles.dense_affinity(places) @ values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"radius": 0}, "`radius` must be an integer of at least 1. Received: radius=0"),
        ({"iterations": 0}, "`iterations` must be an integer of at least 1. Received: iterations=0"),
        ({"normalization": "rows"}, "normalization must be one of .* Received: normalization='rows'"),
        ({"compatibility": np.ones((2, 2))}, r"of shape \(3, 3\). Received: shape \(2, 2\)"),
        ({"sigmas_xy": [0.0]}, r"greater than 0. Received: sigmas_xy=\[0.0\]"),
        ({"sigmas_xy": [None]}, "features or a sigma of the position. Received: neither"),
        ({"kernel_weights": [1.0, 2.0]}, "at least one. Received: 1, 1 and 2"),
        ({"features": [np.zeros((1, 4, 5, 3))]}, r"\(1, 4, 4\). Received: shape \(1, 4, 5, 3\)"),
        ({"logits": np.zeros((4, 4, 3))}, r"a tensor of shape \(4, 4, 3\)"),
        (
            {"radius": 1, "filter_method": "exact"},
            "windowed kernels are exact. Received: filter_method='exact'",
        ),
        (
            {"include_self": False, "filter_method": "nystrom"},
            "own contribution. Received: filter_method='nystrom'",
        ),
        ({"include_self": "no"}, "True, False or None. Received: include_self='no'"),
    ],
)
def test_bad_arguments(changes, text):
    arguments = {"logits": np.zeros((1, 4, 4, 3)), "features": [None], "sigmas_xy": [1.0], **changes}
    with pytest.raises(ValueError, match=text):
        mean_field(**arguments)
