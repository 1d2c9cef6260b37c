"""The gated dense energy of Zhang et al. 2020."""

from keras import ops


def dense_energy(kernel, probabilities, gate, mask):
    r"""Gated dense energy: high if uncertain pixels have different labels from those that look like them.

    `E = sum_i S_i sum_{j != i} G_ij sum_c P_i(c) (1 - P_j(c))` over the pixels of the mask, with the gate `S`
    of pixel i only. One filter pass over `P`, `1` and `S P` gives its value and its exact gradient,

    `dE/dP_i(c) = S_i sum_{j != i} G_ij (1 - P_j(c)) - sum_{j != i} G_ij S_j P_j(c)`:

    the energy that the pixel receives through its gate, and its effect on others through theirs.

    Args:
        kernel: what `dense_gaussian_kernel` returns. Its own diagonal is subtracted, so that `j != i` holds
            for approximations too; sums are clipped at 0.
        probabilities: `(batch, pixels, classes)`, float32, that sum to one.
        gate: `(batch, pixels, 1)` in [0, 1]. No gradient flows to it.
        mask: `(batch, pixels, 1)` of 0 and 1.

    Returns:
        Energy and kernel mass `sum_i sum_{j != i} G_ij`, which bounds it; two tensors `(batch,)`.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg.ops import dense_gaussian_kernel
        >>> kernel = dense_gaussian_kernel(np.zeros((1, 2, 3), "float32"))  # two alike pixels
        >>> ones = np.ones((1, 2, 1), "float32")
        >>> disagreeing = np.eye(2, dtype="float32")[None]
        >>> [round(float(x[0]), 4) for x in dense_energy(kernel, disagreeing, ones, ones)]
        [2.0, 2.0]

    Source: Zhang et al. 2020, "Reliability Does Matter: An End-to-End Weakly Supervised Semantic Segmentation
    Approach", arXiv:1911.08039, the dense energy loss. The published code uses the gradient
    `-2 S_i (G P)_i`, including the diagonal, which is not the gradient of any energy where the gate differs
    between pixels.
    """
    probabilities = ops.cast(probabilities, "float32")
    gate = mask * ops.cast(ops.stop_gradient(gate), "float32")
    fixed, classes = ops.stop_gradient(probabilities), probabilities.shape[-1]
    sent = ops.concatenate([mask * fixed, mask, gate * fixed], axis=-1)
    sums = mask * ops.maximum(kernel.apply(sent) - kernel.diagonal() * sent, 0.0)
    sums = ops.stop_gradient(sums)
    gathered, degree, gated = sums[..., :classes], sums[..., classes : classes + 1], sums[..., classes + 1 :]
    others = ops.maximum(degree - gathered, 0.0)
    energy = ops.sum(gate * fixed * others, axis=(1, 2))
    # A term of value zero supplies the gradient from the single filter pass.
    carrier = ops.sum((gate * others - gated) * (probabilities - fixed), axis=(1, 2))
    return ops.stop_gradient(energy) + carrier, ops.sum(degree, axis=(1, 2))
