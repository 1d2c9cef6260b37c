"""The dense CRF and normalized cut energies of Tang et al. 2018, and the label proposals of ADM."""

from keras import ops

from keras_wsseg.ops.dense_gaussian import dense_gaussian_kernel

# Avoids 0/0 for a class without mass; the ratio of a class with however little mass is unaffected.
_LEAST_DEGREE = 1e-30


def dense_crf_energy(probabilities, features, mask=None, filter_method="auto", landmarks=512, seed=0):
    r"""Dense CRF energy: high if similar pixels, anywhere in the image, have different labels.

    `R_CRF = sum_k S_k^T W (1 - S_k)`, `W_pq = exp(-|f_p - f_q|^2 / 2)` over ordered pairs, including
    `W_pp = 1`. Its gradient, `dR/dS_k = W (1 - 2 S_k)`, is computed in the same filter pass.

    Args:
        probabilities: `(batch, pixels, classes)`, any float type; computed in float32.
        features: `(batch, pixels, channels)`, already divided by sigma. No gradient flows to them.
        mask: `(batch, pixels)`, 1 for the pixels that count. All by default.
        filter_method, landmarks, seed: see `dense_gaussian_kernel`. With the exact method, the energy is at
            least 0 for probabilities that sum to one.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: if an argument is out of range or does not match the others.

    Example:
        >>> import numpy as np
        >>> alike = np.zeros((1, 2, 3), "float32")
        >>> disagreeing = np.eye(2, dtype="float32")[None]
        >>> round(float(dense_crf_energy(disagreeing, alike)[0]), 4)
        2.0

    Source: Tang et al., "On Regularized Losses for Weakly-supervised CNN Segmentation", 2018,
    arXiv:1803.09569, equations 4 and 11; the paper's gradient, -2 W S_k, omits W 1, which is the same for all
    classes and cancels in the gradient through a softmax.
    """
    y, mask = _prepared(probabilities, features, mask)
    kernel = dense_gaussian_kernel(features, filter_method, landmarks, seed, mask[..., 0])
    return crf_energy(kernel, y, mask)[0]


def normalized_cut_energy(probabilities, features, mask=None, filter_method="auto", landmarks=512, seed=0):
    r"""Normalized cut energy: low if each class has more affinity within itself than to the rest.

    `R_NC = sum_k S_k^T W (1 - S_k) / (d^T S_k)`, `d = W 1`. It lies within [0, classes); the gradient,
    `(S_k^T W S_k) d / (d^T S_k)^2 - 2 W S_k / (d^T S_k)`, is computed in the same filter pass. A class with
    zero probability at every pixel contributes nothing.

    Args:
        probabilities, features, mask, filter_method, landmarks, seed: see `dense_crf_energy`.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: if an argument is out of range or does not match the others.

    Example:
        >>> import numpy as np
        >>> features = np.array([[[0.0], [0.0], [9.0], [9.0]]], "float32")  # two pairs of alike pixels
        >>> halves = np.array([[[1, 0], [1, 0], [0, 1], [0, 1]]], "float32")
        >>> float(normalized_cut_energy(halves, features)[0]) < 1e-6
        True

    Source: Tang et al. 2018, arXiv:1803.09569, equations 5 and 12.
    """
    y, mask = _prepared(probabilities, features, mask)
    kernel = dense_gaussian_kernel(features, filter_method, landmarks, seed, mask[..., 0])
    return cut_energy(kernel, y, mask)


def crf_energy(kernel, probabilities, mask, sums=None):
    """The dense CRF energy and its kernel mass, `1^T W 1`, over the pixels of the mask.

    Args:
        kernel: what `dense_gaussian_kernel` returns.
        probabilities: `(batch, pixels, classes)`, float32.
        mask: `(batch, pixels, 1)`, float32.
        sums: the result of `masked_sums` for these, if already computed.

    Returns:
        Two tensors `(batch,)`.
    """
    fixed = ops.stop_gradient(probabilities)
    gathered, degree = sums or masked_sums(kernel, probabilities, mask)
    energy = ops.sum(fixed * (degree - gathered), axis=(1, 2))
    mass = ops.sum(degree, axis=(1, 2))
    return _with_gradient(energy, degree - 2.0 * gathered, probabilities), ops.stop_gradient(mass)


def cut_energy(kernel, probabilities, mask, sums=None):
    """The normalized cut energy over the pixels of the mask; takes the arguments of `crf_energy`.

    Returns:
        A tensor `(batch,)`.
    """
    fixed = ops.stop_gradient(probabilities)
    gathered, degree = sums or masked_sums(kernel, probabilities, mask)
    degrees = ops.maximum(ops.sum(degree * fixed, axis=1, keepdims=True), _LEAST_DEGREE)
    outside = ops.sum(fixed * (degree - gathered), axis=1, keepdims=True) / degrees
    inside = ops.sum(fixed * gathered, axis=1, keepdims=True) / degrees
    gradient = (inside * degree - 2.0 * gathered) / degrees
    return _with_gradient(ops.sum(outside, axis=(1, 2)), gradient, probabilities)


def masked_sums(kernel, probabilities, mask):
    """`W S_k` and `W 1` over the pixels of the mask, 0 elsewhere, in one filter pass.

    Args:
        kernel, probabilities, mask: see `crf_energy`.

    Returns:
        `(batch, pixels, classes)` and `(batch, pixels, 1)`, without gradient.
    """
    fixed = ops.stop_gradient(probabilities)
    sums = ops.stop_gradient(mask * kernel.apply(ops.concatenate([mask * fixed, mask], axis=-1)))
    gathered, degree = sums[..., :-1], sums[..., -1:]
    # W_pp = 1, so no degree is below 1: a pixel missed by an approximation retains its own contribution.
    own = ops.maximum(mask - degree, 0.0)
    return gathered + own * fixed, degree + own


def propose_labels(kernel, probabilities, mask, labels, coupling, iterations):
    r"""The label proposals of alternating direction minimization (ADM).

    Mean-field steps from the current prediction: `X ~ S exp(2 lambda W X)` on the pixels without a label,
    normalized per pixel; labeled pixels stay clamped to their labels. `lambda` is `coupling` divided by the
    mean of `W 1` over the image, so that one value suits every resolution. No gradient flows through the
    labels.

    Args:
        kernel, probabilities, mask: see `crf_energy`.
        labels: `(batch, pixels, classes)`: the share of each class at labeled pixels, 0 at all others.
        coupling: at least 0; a number or a scalar tensor.
        iterations: number of steps, at least 1.

    Returns:
        `(batch, pixels, classes)`.

    Source: Tang et al. 2018, arXiv:1803.09569, section 3, equations 7 to 10.
    """
    fixed = ops.stop_gradient(probabilities)
    labeled = ops.sum(labels, axis=-1, keepdims=True)
    unary = ops.log(ops.maximum(fixed, 1e-30))
    x = labels + (1.0 - labeled) * fixed
    gathered, degree = masked_sums(kernel, x, mask)
    mean_degree = ops.sum(degree, axis=(1, 2)) / ops.maximum(ops.sum(mask, axis=(1, 2)), 1.0)
    factor = ops.divide_no_nan(2.0 * coupling, mean_degree)[:, None, None]
    for step in range(iterations):
        if step:
            gathered = mask * kernel.apply(mask * x)
        x = labels + (1.0 - labeled) * ops.softmax(unary + factor * gathered, axis=-1)
    return ops.stop_gradient(x)


def _with_gradient(energy, gradient, probabilities):
    # A term of value zero supplies the gradient from the single filter pass.
    carrier = ops.stop_gradient(gradient) * (probabilities - ops.stop_gradient(probabilities))
    return ops.stop_gradient(energy) + ops.sum(carrier, axis=(1, 2))


def _prepared(probabilities, features, mask):
    if len(probabilities.shape) != 3:
        raise ValueError(
            "probabilities must be (batch, pixels, classes). "
            f"Received: a tensor of shape {tuple(probabilities.shape)}"
        )
    _check_pixels("features", features.shape[:2], probabilities.shape[:2])
    if mask is None:
        mask = ops.ones_like(probabilities[..., 0])
    _check_pixels("mask", mask.shape, probabilities.shape[:2])
    return ops.cast(probabilities, "float32"), ops.cast(ops.stop_gradient(mask), "float32")[..., None]


def _check_pixels(name, shape, wanted):
    shape, wanted = tuple(shape), tuple(wanted)
    fits = len(shape) == 2 and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must match the pixels of the probabilities, {wanted}. Received: shape {shape}"
        )
