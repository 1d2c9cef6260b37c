"""Every loss gives the same value and gradient eagerly, in a graph, by XLA and on JAX."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg import losses, targets

SHORT = {"scale": 0.5, "sigma_rgb": 0.3, "sigma_xy": 6.0}
KERNELS = [
    {
        "module": "keras_wsseg.kernels.gaussian_kernel",
        "class_name": "GaussianKernel",
        "config": {"weight": 2.0, "xy": 6.0, "rgb": 0.3},
        "registered_name": "keras_wsseg>GaussianKernel",
    }
]
CASES = {
    "PartialCrossEntropy": {"class_weights": "batch"},
    "GatedCRFLoss": {"radius": 3, "scale": 0.5},
    "DenseCRFLoss": SHORT,
    "NormalizedCutLoss": SHORT,
    "KernelCutLoss": {**SHORT, "gamma": 0.5, "cut_sigma_rgb": 0.5, "cut_sigma_xy": 9.0},
    "ADMLoss": {**SHORT, "iterations": 3},
    "SparseCRFLoss": {"object_class": 2, "sigma": 0.3},
    "VolumetricLoss": {"object_class": 2, "least": 0.5},
    "PositionalLoss": {"object_class": 2},
    "NegativeLoss": {"object_class": 2},
    "SingleClassLoss": {"object_class": 2, "least": 0.5},
    "AdaptivePriorLoss": {},
    "NeighborhoodLoss": {},
    "NeighborhoodLoss window": {"radius": 3, "sharpness": 3.0},
    "NeighborhoodLoss mean": {"kind": "mean", "through_neighbors": False},
    "NeighborhoodLoss raw": {"normalized": False, "kernels": KERNELS},
    "NeighborhoodLoss nystrom": {"method": "nystrom", "landmarks": 24, "kernels": KERNELS},
    "NeighborhoodLoss permutohedral": {"method": "permutohedral", "kernels": KERNELS},
    "DenseEnergyLoss": SHORT,
    "DenseEnergyLoss raw": {**SHORT, "normalization": "none"},
    "BalancedCrossEntropy": {},
}
# The pictures are small enough for the exact sums; the approximations must agree between backends as well.
CASES |= {
    f"{name} {method}": {**CASES[name], "method": method, "landmarks": 24}
    for name in ("DenseCRFLoss", "NormalizedCutLoss", "ADMLoss", "DenseEnergyLoss")
    for method in ("nystrom", "permutohedral")
}
WAYS = {"eager": None, "graph": {}, "XLA": {"jit_compile": True}}

_ON_JAX = """
import json, sys
import jax, numpy as np
from keras_wsseg import losses
case = np.load(sys.argv[1])
found = {}
for name, settings in json.loads(sys.argv[2]).items():
    loss = getattr(losses, name.split()[0])(**settings)
    total = lambda logits: loss(case["y_true"], logits)
    value, slope = jax.jit(jax.value_and_grad(total))(case["logits"])
    found[name] = [float(x) for x in (value, (slope**2).sum() ** 0.5, (slope * case["probe"]).sum())]
print(json.dumps(found))
"""


def case():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 254, 255], size=(3, 18, 14), p=[0.05, 0.05, 0.05, 0.1, 0.75])
    # The last picture does not hold class 2, the object of the losses of one object.
    labels[2] = np.where(labels[2] == 254, 254, labels[2] % 2)
    y_true = np.array(targets.pack(labels, rng.random((3, 18, 14, 3)).astype("float32")))
    logits = rng.normal(size=(3, 18, 14, 3)).astype("float32")
    return y_true, logits, rng.normal(size=logits.shape).astype("float32")


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    file = tmp_path_factory.mktemp("case") / "case.npz"
    y_true, logits, probe = case()
    np.savez(file, y_true=y_true, logits=logits, probe=probe)
    done = subprocess.run(
        [sys.executable, "-c", _ON_JAX, str(file), json.dumps(CASES)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    return json.loads(done.stdout)


def value_and_slope(name, options):
    y_true, logits, probe = case()
    loss = getattr(losses, name.split()[0])(**CASES[name])

    def run(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(y_true, logits)
        slope = tape.gradient(value, logits)
        return value, tf.norm(slope), tf.reduce_sum(slope * probe)

    run = run if options is None else tf.function(run, **options)
    return [float(number) for number in run(tf.constant(logits))]


@pytest.mark.parametrize("name", CASES)
def test_same_value_and_gradient_everywhere(name, on_jax):
    table = {way: value_and_slope(name, options) for way, options in WAYS.items()}
    table["JAX"] = on_jax[name]
    for way, numbers in table.items():
        # The triangular solves between landmarks turn the last digits into the fourth, and rounding decides
        # whether a lattice has a point of no weight.
        tolerance = 1e-3 if " " in name else 3e-4
        np.testing.assert_allclose(numbers[:2], table["eager"][:2], rtol=tolerance, err_msg=way)
        # Along a random direction most of the slope cancels: what is left is held to its norm.
        difference = abs(numbers[2] - table["eager"][2])
        assert difference < 2e-3 * numbers[1], way
    assert all(np.isfinite(numbers).all() and all(numbers) for numbers in table.values())


def test_the_table_holds_every_loss():
    bases = {"LossSum", "SegmentationLoss", "GaussianKernel"}
    assert {name.split()[0] for name in CASES} == set(losses.__all__) - bases
