"""Fully connected Gaussian sums: one filter with three methods."""

import logging

from keras_wsseg.arguments import check_integer
from keras_wsseg.ops import backend
from keras_wsseg.ops.chosen_gaussian import ChosenGaussian
from keras_wsseg.ops.exact_gaussian import ExactGaussian
from keras_wsseg.ops.nystrom import NystromGaussian
from keras_wsseg.ops.permutohedral import PermutohedralLattice

METHODS = ("auto", "exact", "nystrom", "permutohedral")

_log = logging.getLogger("keras_wsseg")
_announced = set()


def dense_gaussian_filter(features, values, filter_method="auto", landmarks=512, seed=0):
    r"""Sums, at every pixel, the values of all pixels weighted by the similarity of the two pixels.

    The basis of the dense CRF, normalized cut and kernel cut losses and of fully connected mean-field
    inference:

    `out_p = sum_q W_pq v_q`, `W_pq = exp(-|f_p - f_q|^2 / 2)`, including the pixel itself with `W_pp = 1`.

    `W` is symmetric in all three methods, so the filter is its own adjoint. No gradient flows to `features`.
    To filter several values in succession, build the operator once: `dense_gaussian_kernel`.

    Args:
        features: `(batch, pixels, channels)`, already divided by sigma.
        values: `(batch, pixels, classes)`, any float type.
        filter_method: see `dense_gaussian_kernel`.
        landmarks: number of landmarks of `"nystrom"`.
        seed: seed of the landmarks of `"nystrom"` and of the calibration of `"permutohedral"`.

    Returns:
        `(batch, pixels, classes)`, float32.

    Raises:
        ValueError: if an argument is out of range, or the two tensors do not match.

    Example:
        >>> import numpy as np
        >>> features = np.array([[[0.0], [0.0], [9.0]]], "float32")  # two alike pixels and a third
        >>> values = np.array([[[1.0], [2.0], [4.0]]], "float32")
        >>> np.array(dense_gaussian_filter(features, values)).round(3).tolist()
        [[[3.0], [3.0], [4.0]]]
    """
    kernel = dense_gaussian_kernel(features, filter_method, landmarks, seed)
    shape, wanted = tuple(values.shape), tuple(features.shape[:2])
    fits = len(shape) == 3 and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=False)
    )
    if not fits:
        raise ValueError(
            f"values must be (batch, pixels, classes) over the pixels of the features, {wanted}. "
            f"Received: a tensor of shape {shape}"
        )
    return kernel.apply(values)


def dense_gaussian_kernel(features, filter_method="auto", landmarks=512, seed=0, mask=None):
    """Builds the operator of `dense_gaussian_filter`, for several values and for the backward pass.

    Args:
        features: `(batch, pixels, channels)`, already divided by sigma.
        filter_method: `"exact"`, by the definition: time grows with the square of the number of pixels.
            `"nystrom"`, by landmarks: linear in the pixels, error of 0.2 to 3 % on photographs with 512
            landmarks; kernels that are narrow relative to the spread of the features require more.
            `"permutohedral"`, by the lattice: also linear, for kernels of any width, error of 4 to 12 %.
            `"auto"`: exact where that is fastest, that is up to four times as many pixels as landmarks on a
            CPU and 16 384 pixels on an accelerator; else Nyström, or the lattice for each batch in which
            exact sums at a few random pixels show an error of Nyström above 8 %. The logger `keras_wsseg`
            reports once, at level INFO, which of the two applies.
        landmarks: number of landmarks of `"nystrom"`, at least 1.
        seed: integer.
        mask: `(batch, pixels)`, 1 for the pixels whose values are not zero: approximations consider only
            these. All by default.

    Returns:
        An object with `apply(values)`, values `(batch, pixels, classes)`, and its `filter_method`, which
        remains `"auto"` if it is chosen for each batch.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> kernel = dense_gaussian_kernel(np.zeros((1, 4, 2), "float32"))
        >>> kernel.filter_method, round(float(kernel.apply(np.ones((1, 4, 1), "float32"))[0, 0, 0]), 4)
        ('exact', 4.0)
    """
    check_dense(filter_method, landmarks, seed)
    if len(features.shape) != 3:
        raise ValueError(
            f"features must be (batch, pixels, channels). Received: a tensor of shape {tuple(features.shape)}"
        )
    if filter_method == "auto":
        filter_method = "exact" if _few(features.shape[1], landmarks) else "auto"
        if filter_method not in _announced:
            # Log once: a training step may be traced, and a layer called, many times.
            _announced.add(filter_method)
            pixels = features.shape[1] or "any number of"
            method = (
                "filter_method='exact'"
                if filter_method == "exact"
                else "'nystrom', or 'permutohedral' where that is inaccurate"
            )
            _log.info("fully connected kernel over %s pixels: %s", pixels, method)
    if filter_method == "exact":
        kernel = ExactGaussian(features)
    elif filter_method == "auto":
        kernel = ChosenGaussian(features, landmarks, seed, mask)
    elif filter_method == "nystrom":
        kernel = NystromGaussian(features, landmarks, seed, mask)
    else:
        kernel = PermutohedralLattice(features, seed, mask)
    kernel.filter_method = filter_method
    return kernel


def check_dense(filter_method, landmarks, seed):
    """Validates the arguments that select the method."""
    if filter_method not in METHODS:
        raise ValueError(f"filter_method must be one of {METHODS}. Received: filter_method={filter_method!r}")
    check_integer("landmarks", landmarks, low=1)
    check_integer("seed", seed)


def _few(pixels, landmarks):
    """Whether the exact method is the fastest."""
    return pixels is not None and pixels <= (4 * landmarks if backend.on_cpu() else 16_384)
