"""Every loss gives the same value and gradient eagerly, in a graph, by XLA and on JAX: those in the table."""

import functools
import json
import pathlib

import numpy as np
import pytest
import ways

from keras_wsseg import losses, targets

# The value, the norm of the gradient and its part along a random direction, as found eagerly on TensorFlow.
EXPECTED = json.loads(pathlib.Path(__file__).with_name("every_loss.json").read_text())

SHORT = {"resolution": 0.5, "sigma_rgb": 0.3, "sigma_xy": 6.0}
KERNELS = [
    {
        "module": "keras_wsseg.kernels.gaussian_kernel",
        "class_name": "GaussianKernel",
        "config": {"weight": 2.0, "sigma_xy": 6.0, "sigma_rgb": 0.3},
        "registered_name": "keras_wsseg>GaussianKernel",
    }
]
CASES = {
    "PartialCrossEntropy": {"class_weights": "batch"},
    "GatedCRFLoss": {"radius": 3, "resolution": 0.5},
    "DenseCRFLoss": SHORT,
    "NormalizedCutLoss": SHORT,
    "KernelCutLoss": {**SHORT, "cut_weight": 0.5, "cut_sigma_rgb": 0.5, "cut_sigma_xy": 9.0},
    "ADMLoss": {**SHORT, "iterations": 3},
    "SparseCRFLoss": {"object_class": 2, "sigma_rgb": 0.3},
    "VolumetricLoss": {"object_class": 2, "min_fraction": 0.5},
    "PositionalLoss": {"object_class": 2},
    "NegativeLoss": {"object_class": 2},
    "SingleClassLoss": {"object_class": 2, "min_fraction": 0.5},
    "AdaptivePriorLoss": {},
    "NeighborhoodLoss": {},
    "NeighborhoodLoss window": {"radius": 3, "sharpness": 3.0},
    "NeighborhoodLoss mean": {"variant": "mean", "through_neighbors": False},
    "NeighborhoodLoss raw": {"normalized": False, "kernels": KERNELS},
    "NeighborhoodLoss nystrom": {"filter_method": "nystrom", "landmarks": 24, "kernels": KERNELS},
    "NeighborhoodLoss permutohedral": {"filter_method": "permutohedral", "kernels": KERNELS},
    "DenseEnergyLoss": SHORT,
    "DenseEnergyLoss raw": {**SHORT, "normalization": "none"},
    "BalancedCrossEntropy": {},
}
# The images are small enough for the exact sums; the approximations must agree between backends as well.
CASES |= {
    f"{name} {method}": {**CASES[name], "filter_method": method, "landmarks": 24}
    for name in ("DenseCRFLoss", "NormalizedCutLoss", "ADMLoss", "DenseEnergyLoss")
    for method in ("nystrom", "permutohedral")
}

# Those that bring the prediction there.
ON_THE_GRID_OF_THE_LABELS = (
    "PartialCrossEntropy", "BalancedCrossEntropy", "DenseCRFLoss", "NormalizedCutLoss", "KernelCutLoss",
    "ADMLoss", "DenseEnergyLoss",
)  # fmt: skip


def case():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 254, 255], size=(3, 18, 14), p=[0.05, 0.05, 0.05, 0.1, 0.75])
    # The last image does not hold class 2, the object of the losses of one object.
    labels[2] = np.where(labels[2] == 254, 254, labels[2] % 2)
    y_true = np.array(targets.pack(labels, rng.random((3, 18, 14, 3)).astype("float32")))
    logits = rng.normal(size=(3, 18, 14, 3)).astype("float32")
    return y_true, logits, rng.normal(size=logits.shape).astype("float32")


@pytest.mark.any_backend
@pytest.mark.parametrize("name", CASES)
def test_same_value_and_gradient_everywhere(name):
    y_true, logits, probe = case()
    loss = getattr(losses, name.split()[0])(**CASES[name])
    # The triangular solves between landmarks turn the last digits into the fourth, and rounding decides
    # whether a lattice has a point of no weight.
    tolerance = 1e-3 if " " in name else 3e-4
    want, norm, along = EXPECTED[name]
    for value, (slope,) in ways.value_and_slopes(
        lambda logits: loss(y_true, logits), logits, ways=ways.QUICK_WAYS
    ):
        np.testing.assert_allclose([value, np.linalg.norm(slope)], [want, norm], rtol=tolerance)
        # Along a random direction most of the slope cancels: what is left is held to its norm.
        assert abs((slope * probe).sum() - along) < 2e-3 * norm
        assert np.isfinite(slope).all() and value


@pytest.mark.any_backend
@pytest.mark.parametrize("name", [name for name in CASES if " " not in name])
def test_a_masked_class_is_one_that_cannot_be(name):
    """Logits of -inf are those far below all others, and no NaN where they are brought to another grid."""
    y_true, logits, _ = case()
    loss = getattr(losses, name)(**CASES[name])
    logits[:, :3, :, 1] = np.where(y_true[:, :3, :, 0] == 1, logits[:, :3, :, 1], -np.inf)
    far = np.maximum(logits, -1e4)
    run = functools.partial(ways.value_and_slopes, lambda y: loss(y_true, y), ways=ways.FIRST_WAYS)
    ((value, (slope,)),), ((want, (wanted,)),) = run(logits), run(far)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(slope, wanted, atol=1e-5 * np.abs(wanted).max())
    assert np.isfinite(slope).all()
    if name in ON_THE_GRID_OF_THE_LABELS:
        ((value, (slope,)),) = run(logits[:, ::2, ::2])
        assert np.isfinite(value) and np.isfinite(slope).all()


def test_the_table_holds_every_loss():
    assert set(EXPECTED) == set(CASES)
    bases = {"LossSum", "SegmentationLoss", "GaussianKernel"}
    assert {name.split()[0] for name in CASES} == set(losses.__all__) - bases
