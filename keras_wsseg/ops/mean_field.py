"""Mean-field inference in conditional random fields with Gaussian kernels."""

from keras import ops

from keras_wsseg.arguments import check_integer
from keras_wsseg.ops import backend
from keras_wsseg.ops.dense_kernels import DenseKernels
from keras_wsseg.ops.windowed_kernels import WindowedKernels

NORMALIZATIONS = ("symmetric", "row", "none")


def mean_field(
    logits,
    features,
    sigmas_xy,
    kernel_weights=None,
    radius=None,
    compatibility=None,
    iterations=5,
    normalization="symmetric",
    include_self=None,
    filter_method="auto",
    landmarks=512,
    seed=0,
):
    r"""Mean-field inference of a CRF: a few steps that encourage similar pixels to share a class.

    It aligns a prediction with the edges of the image, without training. Starting from
    `Q_i = softmax(logits_i)`, each step computes

    `Q_i(l) ~ exp(-u_i(l) - sum_l' mu(l, l') sum_m w_m sum_{j != i} k_m(i, j) Q_j(l'))`,
    `u = -log softmax(logits)`, `K_m(i, j) = exp(-|Dxy|^2 / 2 sigma^2 - |f_i - f_j|^2 / 2)`,

    with `k = K` (`"none"`), `K_ij / D_i` (`"row"`) or `K_ij / sqrt(D_i D_j)` (`"symmetric"`), `D_i` the sum
    of row `i` over `j != i`. Kernels and row sums are computed once for all steps. The loop is unrolled and
    differentiable with respect to logits, kernel weights and compatibility.

    Args:
        logits: `(batch, height, width, classes)`, any float type.
        features: list with one entry per kernel: `(batch, height, width, channels)` already divided by sigma,
            or None for a kernel of position only. No gradient flows to them.
        sigmas_xy: one number per kernel, sigma of the position in pixels, or None if position is ignored.
        kernel_weights: one number or scalar tensor per kernel, non-negative; all 1 by default.
        radius: neighbors are the `(2 radius + 1)^2` pixels around a pixel; None: all pixels of the image.
        compatibility: `(classes, classes)`, the cost of each pair of classes; None: `1 - I` (Potts).
        iterations: number of steps, at least 1.
        normalization: `"symmetric"`, `"row"` or `"none"`.
        include_self: whether `j = i` is included in both sums. None: True if `radius` is None, as in the
            published code, since approximations cannot separate a pixel's own contribution; else False.
        filter_method, landmarks, seed: see `dense_gaussian_kernel`, if `radius` is None; `"auto"` is exact if
            `include_self=False`. Kernels of position only are always exact.

    Returns:
        `log Q`, `(batch, height, width, classes)`, float32: logits of the refined prediction.

    Raises:
        ValueError: if an argument is out of range or does not match the others.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[2.0, 0.0], [0.0, 0.5], [2.0, 0.0]], "float32").reshape(1, 1, 3, 2)
        >>> refined = mean_field(logits, [None], [3.0], [4.0], radius=1)  # the middle follows its neighbors
        >>> np.array(refined).argmax(-1).tolist()
        [[[0, 0, 0]]]

    Source: Krähenbühl & Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
    2011, arXiv:1210.5644, equation 4 and algorithm 1; the symmetric normalization is that of their published
    code.
    """
    kernel_weights = [1.0] * len(features) if kernel_weights is None else list(kernel_weights)
    _check(logits, features, sigmas_xy, kernel_weights)
    check_settings(radius, iterations, normalization, include_self, filter_method)
    compatibility = _check_matrix(compatibility, logits.shape[-1])
    logits = ops.cast(logits, "float32")
    features = [None if f is None else ops.cast(f, "float32") for f in features]
    arguments = (features, sigmas_xy, kernel_weights, ops.shape(logits)[:3])
    include_self = radius is None if include_self is None else include_self
    if radius is None:
        filter_method = "exact" if filter_method == "auto" and not include_self else filter_method
        options = {"filter_method": filter_method, "landmarks": landmarks, "seed": seed}
        kernels = DenseKernels(*arguments, normalization, include_self, **options)
    else:
        kernels = WindowedKernels(*arguments, radius, normalization, include_self)
    unary = kernels.arrange(logits)
    state = unary
    for _ in range(iterations):
        message = kernels.apply(ops.softmax(state, axis=-1))
        if compatibility is None:
            # (1 - I) m and -m differ by the sum of m, which is equal for all classes.
            state = unary + message
        else:
            state = unary - backend.matmul_float32(message, ops.transpose(compatibility))
    return ops.log_softmax(kernels.restore(state), axis=-1)


def _check(logits, features, sigmas_xy, kernel_weights):
    if len(logits.shape) != 4:
        raise ValueError(
            "logits must be (batch, height, width, classes). "
            f"Received: a tensor of shape {tuple(logits.shape)}"
        )
    check_kernels(features, sigmas_xy, kernel_weights)
    for feature, xy in zip(features, sigmas_xy, strict=True):
        if xy is not None and not xy > 0:
            raise ValueError(f"sigmas_xy must be greater than 0. Received: sigmas_xy={list(sigmas_xy)}")
        if feature is not None:
            check_same_grid("features", feature.shape, logits.shape)


def check_kernels(features, sigmas_xy, kernel_weights):
    """Validates kernels given as features, sigmas and weights."""
    if not len(features) == len(sigmas_xy) == len(kernel_weights) > 0:
        raise ValueError(
            "features, sigmas_xy and kernel_weights must contain one item per kernel, and at least one. "
            f"Received: {len(features)}, {len(sigmas_xy)} and {len(kernel_weights)}"
        )
    if any(feature is None and xy is None for feature, xy in zip(features, sigmas_xy, strict=True)):
        raise ValueError("each kernel must have features or a sigma of the position. Received: neither")


def check_settings(radius, iterations, normalization, include_self, filter_method):
    """Validates the settings that do not depend on the images."""
    if radius is not None and filter_method != "auto":
        raise ValueError(
            "filter_method must be 'auto' if a radius is given: windowed kernels are exact. "
            f"Received: filter_method={filter_method!r}"
        )
    if radius is None and include_self is False and filter_method not in ("auto", "exact"):
        raise ValueError(
            "filter_method must be 'exact' if include_self=False: approximate kernels cannot separate a "
            f"pixel's own contribution. Received: filter_method={filter_method!r}"
        )
    if include_self not in (None, True, False):
        raise ValueError(f"include_self must be True, False or None. Received: include_self={include_self!r}")
    if radius is not None:
        check_integer("radius", radius, low=1)
    check_integer("iterations", iterations, low=1)
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {NORMALIZATIONS}. Received: normalization={normalization!r}"
        )


def check_same_grid(name, shape, logits_shape):
    """Validates that the static sizes match."""
    sizes = zip(tuple(shape)[:3], tuple(logits_shape)[:3], strict=False)
    if len(shape) != 4 or any(a is not None and b is not None and a != b for a, b in sizes):
        raise ValueError(
            f"{name} must have the batch, height and width of the logits, {tuple(logits_shape)[:3]}. "
            f"Received: shape {tuple(shape)}"
        )


def _check_matrix(compatibility, classes):
    if compatibility is None:
        return None
    if tuple(compatibility.shape) != (classes, classes):
        raise ValueError(
            f"compatibility must be a matrix of shape ({classes}, {classes}). "
            f"Received: shape {tuple(compatibility.shape)}"
        )
    return ops.cast(compatibility, "float32")
