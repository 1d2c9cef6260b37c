"""Class distributions predicted by the neighbors of a pixel (Pandey & Dukkipati 2017)."""

from keras import ops

from keras_wsseg.arguments import check_integer
from keras_wsseg.ops.dense_gaussian import check_dense
from keras_wsseg.ops.dense_kernels import DenseKernels, with_positions
from keras_wsseg.ops.local_gaussian import local_gaussian_filter
from keras_wsseg.ops.mean_field import check_kernels
from keras_wsseg.ops.self_adjoint import self_adjoint

VARIANTS = ("exponentiated", "mean")

# In units of one identical neighbor; above the residue that rounding may leave of a pixel's own contribution.
_LEAST_MASS = 1e-3

# Lower bound of the probability of a class that no neighbor has.
_LEAST_SHARE = 1e-7


def neighborhood_distribution(
    probabilities,
    features,
    sigmas_xy,
    kernel_weights=None,
    radius=None,
    variant="exponentiated",
    sharpness=1.0,
    normalized=True,
    mask=None,
    filter_method="auto",
    landmarks=512,
    seed=0,
):
    r"""The class distribution of each pixel as predicted by its neighbors.

    Its divergence from the pixel's own distribution is a loss for images without pixel labels. With
    `k_ij = sum_m w_m exp(-|Dxy|^2 / 2 sigma_m^2 - |f_i^m - f_j^m|^2 / 2)`,

    `"mean"`: `p_i^neighb(l) = sum_{j != i} k_ij p_j(l) / sum_{j != i} k_ij`,
    `"exponentiated"`: `p_i^neighb(l) ~ exp(s sum_{j != i} khat_ij p_j(l))`,

    `khat` being `k` divided by its sum over `j != i`, or `k` itself (`normalized=False`): then, at `s = 1`,
    `p = p^neighb` is a fixed point of mean-field inference.

    Args:
        probabilities: `(batch, height, width, classes)` that sum to one, any float type.
        features: list with one entry per kernel: `(batch, height, width, channels)` already divided by sigma,
            or None for a kernel of position only. No gradient flows to them.
        sigmas_xy: one number per kernel, sigma of the position in pixels of this grid, or None if position is
            ignored; a pair of numbers, for rows and columns, if pixels are not square.
        kernel_weights: one number or scalar tensor per kernel, non-negative; all 1 by default.
        radius: neighbors are the `(2 radius + 1)^2` pixels around a pixel; None: all pixels of the image.
        variant: `"exponentiated"` or `"mean"`.
        sharpness: `s` of the exponentiated variant, at least 0; a number or a scalar tensor.
        normalized: whether the kernel is divided by its sum; must be True for `"mean"`.
        mask: `(batch, height, width)` of 0 and 1: the valid pixels. All by default.
        filter_method, landmarks, seed: see `dense_gaussian_kernel`, if `radius` is None. Approximations
            exclude a pixel from its own sum by subtracting their own diagonal. Kernels of position only are
            always exact.

    Returns:
        `log p^neighb`, `(batch, height, width, classes)`, float32, and `(batch, height, width)`: 1 for the
        pixels of the mask that have neighbors, 0 for all others, whose distribution is meaningless. A pixel
        whose kernel values sum to less than a thousandth of their weights has no neighbors.

    Raises:
        ValueError: if an argument is out of range or does not match the others.

    Example:
        >>> import numpy as np
        >>> y = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], "float32").reshape(1, 1, 3, 2)
        >>> log_neighbors, found = neighborhood_distribution(y, [None], [9.0], radius=1, variant="mean")
        >>> np.exp(log_neighbors)[0, 0].round(2).tolist()
        [[0.0, 1.0], [0.5, 0.5], [0.0, 1.0]]

    Source: Pandey & Dukkipati 2017, arXiv:1705.01262, the neighborhood term and proposition 3.1.
    """
    weights = [1.0] * len(features) if kernel_weights is None else list(kernel_weights)
    check_neighborhood(variant, normalized, radius, filter_method, landmarks, seed)
    _check_tensors(probabilities, features, sigmas_xy, weights, mask)
    y = ops.cast(probabilities, "float32")
    mask = ops.ones_like(y[..., 0]) if mask is None else ops.cast(ops.stop_gradient(mask), "float32")
    features = [None if f is None else ops.cast(ops.stop_gradient(f), "float32") for f in features]
    kernels = (features, list(sigmas_xy), weights)
    if radius is None:
        sums = _dense_sums(
            y, mask, kernels, {"filter_method": filter_method, "landmarks": landmarks, "seed": seed}
        )
    else:
        sums = _windowed_sums(y, mask, kernels, radius)
    # Negative only where an approximation, or rounding, subtracts more than a pixel's own contribution.
    sums = ops.maximum(sums, 0.0)
    mass = ops.sum(sums, axis=-1)
    # The sum of the kernels' weights is the mass of one identical neighbor.
    found = ops.logical_and(mask > 0, mass > _LEAST_MASS * sum(weights))
    if normalized:
        sums = sums / ops.where(found, mass, 1.0)[..., None]
    if variant == "mean":
        log_neighbors = ops.log(ops.maximum(sums, _LEAST_SHARE))
    else:
        log_neighbors = ops.log_softmax(sharpness * sums, axis=-1)
    return log_neighbors, ops.cast(found, "float32")


def check_neighborhood(variant, normalized, radius, filter_method, landmarks, seed):
    """Validates the settings that do not depend on the images."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {VARIANTS}. Received: variant={variant!r}")
    if variant == "mean" and not normalized:
        raise ValueError(
            "normalized must be True if variant='mean', which otherwise is not a distribution. "
            f"Received: normalized={normalized!r}"
        )
    if radius is not None:
        check_integer("radius", radius, low=1)
    if radius is not None and filter_method != "auto":
        raise ValueError(
            "filter_method must be 'auto' if a radius is given: windowed kernels are exact. "
            f"Received: filter_method={filter_method!r}"
        )
    check_dense(filter_method, landmarks, seed)


def _dense_sums(y, mask, kernels, options):
    size = ops.shape(y)[:3]
    options["mask"] = ops.reshape(mask, (-1, size[1] * size[2]))
    operator = DenseKernels(*kernels, size, "none", include_self=False, **options)
    return operator.restore(operator.apply(operator.arrange(mask[..., None] * y)))


def _windowed_sums(y, mask, kernels, radius):
    features, sigmas_xy, weights = kernels
    size = ops.shape(y)[:3]
    features = [with_positions(*kernel, size) for kernel in zip(features, sigmas_xy, strict=True)]
    # Automatic differentiation would store the kernels of all tiles.
    gather = self_adjoint(lambda values: local_gaussian_filter(values, features, radius, weights))
    return gather(mask[..., None] * y)


def _check_tensors(probabilities, features, sigmas_xy, weights, mask):
    if len(probabilities.shape) != 4:
        raise ValueError(
            "probabilities must be (batch, height, width, classes). "
            f"Received: a tensor of shape {tuple(probabilities.shape)}"
        )
    check_kernels(features, sigmas_xy, weights)
    for feature in features:
        if feature is not None:
            _check_grid("features", feature, 4, probabilities)
    if mask is not None:
        _check_grid("mask", mask, 3, probabilities)


def _check_grid(name, tensor, rank, probabilities):
    shape, wanted = tuple(tensor.shape), tuple(probabilities.shape)[:3]
    sizes = zip(shape, wanted, strict=False)
    if len(shape) != rank or any(a is not None and b is not None and a != b for a, b in sizes):
        raise ValueError(
            f"{name} must match the grid of the probabilities, {wanted}. Received: shape {shape}"
        )
