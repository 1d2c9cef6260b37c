"""Fully connected Gaussian sums by landmarks if these are accurate enough, else by the lattice."""

from keras import ops

from keras_wsseg.ops.nystrom import NystromGaussian
from keras_wsseg.ops.permutohedral import PermutohedralLattice, empty_tensors, lattice_tensors
from keras_wsseg.ops.pixel_sample import sample_pixels
from keras_wsseg.ops.sampled_mass import sampled_mass
from keras_wsseg.ops.self_adjoint import self_adjoint

SAMPLES = 32
"""Number of pixels of an image at which the landmarks' accuracy is tested."""

LARGEST_ERROR = 0.08
"""Maximum relative error of the landmarks' sums; above it the lattice, at 4 to 8 %, is more accurate."""


class ChosenGaussian:
    """`sum_q exp(-|f_p - f_q|^2 / 2) v_q` by `NystromGaussian`, else by `PermutohedralLattice`.

    When the operator is built, the landmarks' kernel mass `sum_q W_pq` is compared with the exact one at a
    few random pixels of each image. If its relative L2 error is too large in any image of the batch, the
    lattice is used for the whole batch.

    Args:
        features, landmarks, seed, mask: see `NystromGaussian`.
    """

    def __init__(self, features, landmarks=512, seed=0, mask=None):
        features = ops.cast(ops.stop_gradient(features), "float32")
        self._landmarks = NystromGaussian(features, landmarks, seed, mask)
        self._missed = ops.max(self._error(features, seed, mask)) > LARGEST_ERROR
        tensors = ops.cond(
            self._missed, lambda: lattice_tensors(features, seed, mask), lambda: empty_tensors(features)
        )
        self._lattice = PermutohedralLattice.of_tensors(features, tensors)

    def apply(self, values):
        """The sums: `(batch, pixels, channels)` to the same shape, float32, differentiable in `values`."""
        return self_adjoint(self._sums)(ops.cast(values, "float32"))

    def diagonal(self):
        """The weight of a pixel's own value in its sum: `(batch, pixels, 1)`, from the selected operator."""
        return ops.cond(self._missed, self._lattice.diagonal, self._landmarks.diagonal)

    def _sums(self, values):
        return ops.cond(
            self._missed, lambda: self._lattice.apply(values), lambda: self._landmarks.apply(values)
        )

    def _error(self, features, seed, mask):
        """Relative error of the landmarks' kernel mass at a sample of pixels, `(batch,)`."""
        mask = ops.ones_like(features[..., 0]) if mask is None else ops.cast(mask, "float32")
        sample, places = sample_pixels(features, SAMPLES, seed, mask)
        exact = sampled_mass(sample, features, mask)
        found = self._landmarks.apply(mask[..., None])[..., 0]
        found = ops.take_along_axis(found, places, axis=1)
        squares = ops.sum(ops.square(found - exact), axis=1)
        return ops.sqrt(ops.divide_no_nan(squares, ops.sum(ops.square(exact), axis=1)))
