import itertools

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
import ways
from keras import ops

from keras_wsseg.ops import gated_crf_energy
from keras_wsseg.ops.gated_crf import energy_and_mass

METHODS = ("tiles", "patches")
SIZES = ((11, 9), (5, 3), (1, 6), (8, 16), (17, 8))


def case(size=(11, 9), batch=2, classes=3, seed=0):
    """Probabilities, two kernels' features, masks and a general compatibility."""
    rng = np.random.default_rng(seed)
    y = oracles.softmax(rng.normal(size=(batch, *size, classes))).astype("float32")
    positions = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1) / 3.0
    first = np.concatenate(
        [np.broadcast_to(positions, (batch, *size, 2)), rng.random((batch, *size, 3)) / 0.4], -1
    )
    second = rng.random((batch, *size, 1)) / 0.5
    source = (rng.random((batch, *size)) > 0.3).astype("float32")
    destination = (rng.random((batch, *size)) > 0.4).astype("float32")
    mu = rng.random((classes, classes)).astype("float32")
    np.fill_diagonal(mu, 0)
    return y, [first.astype("float32"), second.astype("float32")], source, destination, mu


def expected(y, features, radius, weights, source, destination, mu=None):
    return np.array(
        [
            oracles.gated_crf(y[i], [f[i] for f in features], radius, weights, source[i], destination[i], mu)
            for i in range(len(y))
        ]
    ).T


@pytest.mark.parametrize("filter_method", METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_energy_and_mass_match_the_loops(size, filter_method):
    y, features, source, destination, mu = case(size)
    for radius, matrix in ((1, None), (4, mu)):
        energy, mass = energy_and_mass(
            y, features, radius, [0.7, 1.3], source, destination, matrix, filter_method=filter_method
        )
        want = expected(y, features, radius, [0.7, 1.3], source, destination, matrix)
        np.testing.assert_allclose(np.array(energy), want[0], rtol=1e-5)
        np.testing.assert_allclose(np.array(mass), want[1], rtol=1e-5)


@pytest.mark.parametrize("filter_method", METHODS)
def test_defaults_are_potts_one_kernel_and_open_gates(filter_method):
    y, features, *_ = case()
    ones = np.ones(y.shape[:3])
    want = expected(y, features[:1], 2, [1.0], ones, ones)[0]
    np.testing.assert_allclose(
        np.array(gated_crf_energy(y, features[0], 2, filter_method=filter_method)), want, rtol=1e-5
    )


@pytest.mark.parametrize("filter_method", METHODS)
@pytest.mark.parametrize("gates", ("open", "same", "different", "source only", "destination only"))
@pytest.mark.parametrize("general", (False, True))
def test_gradient_matches_finite_differences(gates, filter_method, general):
    y, features, source, destination, mu = case((4, 5), batch=1)
    mu = mu if general else None
    ones = np.ones_like(source)
    masks = {
        "open": (None, None),
        "same": (source, source),
        "different": (source, destination),
        "source only": (source, None),
        "destination only": (None, destination),
    }[gates]
    filled = [ones[0] if mask is None else mask[0] for mask in masks]

    def energy(p):
        return oracles.gated_crf(p, [f[0] for f in features], 2, [1.0, 0.5], *filled, mu)[0]

    want = oracles.numeric_gradient(energy, y[0].astype("float64"))
    x = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = gated_crf_energy(x, features, 2, [1.0, 0.5], *masks, mu, filter_method)
    np.testing.assert_allclose(tape.gradient(value, x)[0], want, rtol=1e-4, atol=1e-5)


def test_eager_graph_and_xla_agree_with_static_and_dynamic_sizes():
    y, features, source, destination, _ = case((19, 13))
    want = expected(y, features, 3, [1.0, 1.0], source, destination)[0]

    def energy(y, a, b, source, destination):
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = gated_crf_energy(y, [a, b], 3, None, source, destination)
        return value, tape.gradient(value, y)

    arrays = [tf.constant(x) for x in (y, *features, source, destination)]
    _, gradient = energy(*arrays)
    dynamic = [tf.TensorSpec([None] * 3 + list(x.shape[3:]), tf.float32) for x in arrays]
    for options in ({}, {"jit_compile": True}, {"input_signature": dynamic}):
        value, slope = tf.function(energy, **options)(*arrays)
        np.testing.assert_allclose(value, want, rtol=1e-5)
        np.testing.assert_allclose(slope, gradient, rtol=1e-4, atol=1e-4)
    dynamic_xla = tf.function(energy, input_signature=dynamic, jit_compile=True)
    np.testing.assert_allclose(dynamic_xla(*arrays)[0], want, rtol=1e-5)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("filter_method", "way"), sorted({("tiles", "eager"), *itertools.product(METHODS, ways.FIRST_WAYS)})
)
def test_value_and_slope_in_every_way_are_those_of_the_loops(filter_method, way):
    y, features, source, destination, mu = case((9, 12))
    probe = np.cos(np.arange(y.size)).reshape(y.shape)

    def loops(y):
        return expected(y, features, 4, [1.0, 1.0], source, destination, mu)[0].sum()

    def energy(y):
        return ops.sum(gated_crf_energy(y, features, 4, None, source, destination, mu, filter_method))

    ((value, (slope,)),) = ways.value_and_slopes(energy, y, ways=[way])
    np.testing.assert_allclose(value, loops(y), rtol=1e-5)
    want = (loops(y + 1e-3 * probe) - loops(y - 1e-3 * probe)) / 2e-3
    np.testing.assert_allclose((slope * probe).sum(), want, rtol=1e-4)


@pytest.mark.parametrize("filter_method", METHODS)
@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
def test_half_precision_in_float32_inside(dtype, filter_method):
    y, features, *_ = case((40, 40))
    short = [ops.cast(f, dtype) for f in features]
    value = gated_crf_energy(ops.cast(y, dtype), short, 5, filter_method=filter_method)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    exact = gated_crf_energy(
        ops.cast(ops.cast(y, dtype), "float32"),
        [ops.cast(f, "float32") for f in short],
        5,
        filter_method=filter_method,
    )
    np.testing.assert_allclose(np.array(value), np.array(exact), rtol=1e-6)


def test_digits_survive_far_from_the_origin():
    """Positions of 512 px over a narrow sigma: |f|^2 alone would use up float32."""
    y, features, *_ = case((16, 16), batch=1)
    far = features[0] + np.array([512 / 0.5, 512 / 0.5, 0, 0, 0], "float32")
    near = gated_crf_energy(y, features[0], 3)
    np.testing.assert_allclose(np.array(gated_crf_energy(y, far, 3)), np.array(near), rtol=1e-4)


def test_agreement_costs_nothing_and_permuted_classes_cost_the_same():
    y, features, source, *_ = case()
    one = np.zeros_like(y)
    one[..., 1] = 1
    np.testing.assert_allclose(np.array(gated_crf_energy(one, features, 4)), 0, atol=1e-4)
    value = np.array(gated_crf_energy(y, features, 4, None, source, source))
    np.testing.assert_allclose(
        gated_crf_energy(y[..., ::-1], features, 4, None, source, source), value, rtol=1e-5
    )
    flipped = gated_crf_energy(
        y[:, ::-1], [f[:, ::-1] for f in features], 4, None, source[:, ::-1], source[:, ::-1]
    )
    np.testing.assert_allclose(np.array(flipped), value, rtol=1e-5)
    energy, mass = energy_and_mass(y, features, 4, None, source, source)
    assert (np.array(energy) <= np.array(mass)).all() and (np.array(energy) > 0).all()


def test_empty_masks_one_class_and_one_row_are_zero_or_finite():
    y, features, source, *_ = case((1, 6))
    nothing = np.zeros_like(source)
    assert (np.array(gated_crf_energy(y, features, 3, None, nothing, nothing)) == 0).all()
    assert (np.array(gated_crf_energy(np.ones_like(y[..., :1]), features, 3)) == 0).all()
    x = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = gated_crf_energy(x, features, 9, None, nothing, None)
    assert not tape.gradient(value, x).numpy().any()


def test_no_gradient_flows_to_features_and_masks():
    y, features, source, *_ = case()
    inputs = [tf.constant(features[0]), tf.constant(source)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = gated_crf_energy(y, inputs[0], 2, None, inputs[1], inputs[1])
    assert tape.gradient(value, inputs) == [None, None]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"radius": 0}, "`radius` must be an integer of at least 1. Received: radius=0"),
        ({"radius": 2.5}, "`radius` must be an integer of at least 1. Received: radius=2.5"),
        ({"filter_method": "loop"}, "filter_method must be one of .* Received: filter_method='loop'"),
        (
            {"features": []},
            r"features must contain the features of at least one kernel. Received: features=\[\]",
        ),
        ({"features": np.zeros((2, 11, 9))}, r"features must be \(batch, height, width, channels\)"),
        (
            {"features": np.zeros((2, 11, 8, 1))},
            r"features must match the grid .* Received: shape \(2, 11, 8\)",
        ),
        ({"kernel_weights": [1, 2]}, "kernel_weights must contain one weight for each of the 1 kernels"),
        ({"source_mask": np.zeros((2, 11))}, "source_mask must match the grid of the probabilities"),
        ({"destination_mask": np.zeros((2, 3, 9))}, "destination_mask must match the grid"),
        ({"compatibility": np.eye(3)}, "compatibility must be non-negative with a zero diagonal"),
        ({"compatibility": -1 + np.eye(3)}, "compatibility must be non-negative with a zero diagonal"),
        ({"compatibility": np.zeros((2, 2))}, r"compatibility must be a matrix of shape \(3, 3\). Received"),
        ({"probabilities": np.zeros((2, 11, 9))}, r"probabilities must be \(batch, height, width, classes\)"),
    ],
)
def test_bad_arguments_say_what_is_wrong(changes, text):
    y, features, *_ = case()
    arguments = {"probabilities": y, "features": features[0], "radius": 2, **changes}
    with pytest.raises(ValueError, match=text):
        gated_crf_energy(**arguments)
