"""The gated CRF energy of Obukhov et al. 2019."""

import numpy as np
from keras import ops

from keras_wsseg.ops.backend import extract_patches, matmul_float32
from keras_wsseg.ops.local_gaussian import check_kernels, local_gaussian_filter, pairwise_kernel


def gated_crf_energy(
    probabilities,
    features,
    radius,
    kernel_weights=None,
    source_mask=None,
    destination_mask=None,
    compatibility=None,
    filter_method="tiles",
):
    r"""Gated CRF energy: high if similar pixels that are close together have different labels.

    Minimized together with a loss on the annotated pixels, it propagates their labels to their surroundings
    and aligns the boundaries of the prediction with the edges of the image:

    `Psi = sum_a sum_{b in window(a), b != a} G_ab K_ab sum_ij mu(i, j) y_a(i) y_b(j)`,
    `G_ab = m_dst(a) m_src(b)`, `K_ab = sum_p w_p exp(-|f_a^(p) - f_b^(p)|^2 / 2)`.

    The gradient with respect to the probabilities is exact, for gates that differ too:

    `dPsi/dy_a(i) = m_dst(a) sum_j mu(i, j) sum_b K_ab m_src(b) y_b(j)
    + m_src(a) sum_j mu(j, i) sum_b K_ab m_dst(b) y_b(j)`.

    No gradient flows to features, weights or masks.

    Args:
        probabilities: `(batch, height, width, classes)`, any float type; computed in float32.
        features: `(batch, height, width, channels)` already divided by sigma, or a list with one per kernel.
        radius: the window extends this many pixels in each direction, at least 1.
        kernel_weights: one non-negative number per kernel; all 1 by default.
        source_mask: `(batch, height, width)` in [0, 1]: which pixels send energy. All by default.
        destination_mask: likewise, which pixels receive it. All by default. Passing the same object for both
            masks marks the gate as symmetric, which saves a second pass.
        compatibility: `(classes, classes)`, non-negative with a zero diagonal; `1 - I` (Potts) by default.
        filter_method: `"tiles"`, or `"patches"` for the plain tensor form over all offsets, the readable
            reference.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: if an argument is out of range or does not match the others.

    Example:
        >>> import numpy as np
        >>> y = np.array([1.0, 0.0], "float32").reshape(1, 1, 2, 1)
        >>> probabilities = np.concatenate([y, 1 - y], axis=-1)
        >>> alike = np.zeros((1, 1, 2, 3), "float32")
        >>> energy = gated_crf_energy(probabilities, alike, radius=1)  # two alike pixels that disagree
        >>> round(float(energy[0]), 4)
        2.0

    Source: Obukhov et al., "Gated CRF Loss for Weakly Supervised Semantic Image Segmentation", 2019,
    arXiv:1906.04651, equations 3 to 6. Unlike the published code, neighbors beyond the border do not count,
    no size must divide another, and no input is changed in place.
    """
    energy, _ = energy_and_mass(
        probabilities,
        features,
        radius,
        kernel_weights,
        source_mask,
        destination_mask,
        compatibility,
        filter_method,
    )
    return energy


def energy_and_mass(
    probabilities,
    features,
    radius,
    kernel_weights=None,
    source_mask=None,
    destination_mask=None,
    compatibility=None,
    filter_method="tiles",
):
    """The energy and its kernel mass, `sum_a sum_{b != a} G_ab K_ab`, an upper bound of the energy.

    Takes the arguments of `gated_crf_energy`. The bound holds if the probabilities sum to one and no entry of
    the compatibility exceeds one.

    Returns:
        Two tensors `(batch,)`, float32: energy and mass.
    """
    features, kernel_weights = check_kernels(features, radius, kernel_weights, filter_method)
    if len(probabilities.shape) != 4:
        raise ValueError(
            "probabilities must be (batch, height, width, classes). "
            f"Received: a tensor of shape {tuple(probabilities.shape)}"
        )
    for feature in features:
        _check_grid("features", feature.shape[:3], probabilities.shape[:3])
    classes = probabilities.shape[-1]
    compatibility = check_compatibility(compatibility, classes)
    masks = []
    for name, mask in (("source_mask", source_mask), ("destination_mask", destination_mask)):
        if mask is None:
            mask = ops.ones_like(probabilities[..., 0])
        _check_grid(name, mask.shape, probabilities.shape[:3])
        masks.append(ops.cast(ops.stop_gradient(mask), "float32")[..., None])
    source, destination = masks
    if source_mask is destination_mask:
        destination = source
    run = _tiles_energy if filter_method == "tiles" else _patches_energy
    y = ops.cast(probabilities, "float32")
    return run(y, features, kernel_weights, radius, source, destination, compatibility)


def _tiles_energy(y, features, kernel_weights, radius, source, destination, compatibility):
    classes = y.shape[-1]
    fixed = ops.stop_gradient(y)
    symmetric = destination is source
    sent = [source * fixed, source] if symmetric else [source * fixed, source, destination * fixed]
    sums = local_gaussian_filter(ops.concatenate(sent, axis=-1), features, radius, kernel_weights)
    received = destination * _pair_up(sums[..., :classes], compatibility)
    if symmetric:
        gradient = received + source * _pair_up(sums[..., :classes], _transposed(compatibility))
    else:
        gradient = received + source * _pair_up(sums[..., classes + 1 :], _transposed(compatibility))
    energy = ops.sum(fixed * received, axis=(1, 2, 3))
    mass = ops.sum(destination * sums[..., classes : classes + 1], axis=(1, 2, 3))
    # The energy is quadratic, so one filter pass gives value and gradient; the last term is zero in value and
    # supplies that gradient.
    carrier = ops.sum(ops.stop_gradient(gradient) * (y - fixed), axis=(1, 2, 3))
    return ops.stop_gradient(energy) + carrier, ops.stop_gradient(mass)


def _patches_energy(y, features, kernel_weights, radius, source, destination, compatibility):
    batch, height, width = ops.shape(y)[:3]
    offsets, classes = (2 * radius + 1) ** 2, y.shape[-1]
    gate = extract_patches(source * ops.ones((batch, height, width, 1), "float32"), 2 * radius + 1)
    kernel = destination * gate * pairwise_kernel(features, kernel_weights, radius)
    neighbors = extract_patches(y, 2 * radius + 1)
    neighbors = ops.reshape(neighbors, (batch, height, width, offsets, classes))
    sums = matmul_float32(kernel[..., None, :], neighbors)[..., 0, :]
    return ops.sum(y * _pair_up(sums, compatibility), axis=(1, 2, 3)), ops.sum(kernel, axis=(1, 2, 3))


def _pair_up(sums, compatibility):
    """sum_j mu(i, j) sums(j), without a matrix product for Potts."""
    if compatibility is None:
        return ops.sum(sums, axis=-1, keepdims=True) - sums
    return matmul_float32(sums, ops.convert_to_tensor(compatibility.T))


def _transposed(compatibility):
    return None if compatibility is None else compatibility.T


def check_compatibility(compatibility, classes=None):
    """Validates the compatibility and returns it as a float32 array (None, Potts, is returned as None)."""
    if compatibility is None:
        return None
    compatibility = np.asarray(compatibility, "float32")
    square = compatibility.ndim == 2 and compatibility.shape[0] == compatibility.shape[1]
    if not square or (classes is not None and len(compatibility) != classes):
        wanted = "(classes, classes)" if classes is None else f"({classes}, {classes})"
        raise ValueError(
            f"compatibility must be a matrix of shape {wanted}. Received: shape {compatibility.shape}"
        )
    if not np.isfinite(compatibility).all() or (compatibility < 0).any() or np.diag(compatibility).any():
        raise ValueError(
            "compatibility must be non-negative with a zero diagonal. "
            f"Received: minimum {compatibility.min()}, diagonal {np.diag(compatibility).tolist()}"
        )
    return compatibility


def _check_grid(name, shape, wanted):
    shape, wanted = tuple(shape), tuple(wanted)
    fits = len(shape) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must match the grid of the probabilities, {wanted}. Received: shape {shape}"
        )
