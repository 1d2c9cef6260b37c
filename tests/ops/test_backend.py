import keras
import numpy as np
import pytest
from coarse_products import CASES, coarse_device, outputs_and_gradient, precisions
from keras import ops as keras_ops

from keras_wsseg import ops
from keras_wsseg.ops import backend

on_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="asks what JAX has traced")
# Sums through landmarks divide by what is as small as a thousandth.
TOLERANCE = {"nystrom": 2e-4}
each_case = pytest.mark.parametrize(
    "name,way,function,x", CASES, ids=[f"{case[0]} {case[1]}" for case in CASES]
)

EMULATED = [case for case in CASES if keras.backend.backend() != "jax" or case[1] in ("tiles", "patches")]


def farthest(found, want):
    return max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6) for a, b in zip(found, want, strict=True))


def test_every_public_function_is_tried():
    assert {case[0] for case in CASES} == set(ops.__all__)


# Step by step, as the emulation needs it, JAX takes minutes for loops; its trace below shows all of them.
@pytest.mark.any_backend
@pytest.mark.parametrize("name,way,function,x", EMULATED, ids=[f"{case[0]} {case[1]}" for case in EMULATED])
def test_values_and_gradients_are_full_float32_where_products_are_coarse(name, way, function, x, monkeypatch):
    want = outputs_and_gradient(function, x)
    with coarse_device(monkeypatch):
        found = outputs_and_gradient(function, x)
    assert farthest(found, want) < TOLERANCE.get(way, 1e-5)


@pytest.mark.any_backend
@on_jax
@each_case
def test_every_product_that_jax_traces_is_asked_for_in_full(name, way, function, x, monkeypatch):
    import jax

    monkeypatch.setattr(backend, "has_coarse_matmul", lambda: True)
    highest = jax.lax.Precision.HIGHEST
    coarse = [text for precision, text in precisions(function, x) if precision != (highest, highest)]
    assert not coarse


@pytest.mark.any_backend
def test_the_emulation_finds_a_plain_product_in_value_and_gradient(monkeypatch):
    """Else it would find none anywhere."""
    x, y = (np.random.default_rng(seed).normal(size=(4, 30, 30)).astype("float32") for seed in (0, 1))
    plain = (
        lambda a: keras_ops.matmul(a, y),
        lambda a: keras_ops.einsum("bij,bjk->bik", a, y),
        lambda a: keras_ops.conv(a, y[0][None], padding="same"),
    )
    for function in plain:
        want = outputs_and_gradient(function, x)
        with coarse_device(monkeypatch):
            found = outputs_and_gradient(function, x)
        assert all(2e-5 < farthest([a], [b]) < 1e-2 for a, b in zip(found, want, strict=True))


@pytest.mark.any_backend
@on_jax
def test_the_trace_shows_plain_products_inside_of_loops():
    def function(x):
        return keras_ops.fori_loop(0, 2, lambda _, a: keras_ops.matmul(a, keras_ops.stop_gradient(x)), x)

    found = precisions(function, np.eye(3, dtype="float32"))
    assert found and not any(precision for precision, _ in found)
