import keras

from keras_wsseg.losses.dense_regularizer import DenseRegularizer
from keras_wsseg.ops.dense_crf import cut_energy


@keras.saving.register_keras_serializable("keras_wsseg")
class NormalizedCutLoss(DenseRegularizer):
    r"""Normalized cut: encourages each class to have more affinity within itself than to the rest.

    Unlike the dense CRF it does not favor large segments: the cut between a class and the rest is divided by
    the total affinity of the class,

    `R = sum_k S_k^T W (1 - S_k) / (d^T S_k)`, `d = W 1`,
    `W_pq = exp(-|Dxy|^2 / 2 sigma_xy^2 - |Drgb|^2 / 2 sigma_rgb^2)`.

    The ratio is dimensionless, within [0, classes), and the loss is its mean over images. A class with zero
    probability at every pixel contributes nothing.

    It is meant for weak labels: with full supervision, the paper finds that it lowers the score.

    Args:
        weight: lambda, the factor of the term.
        sigma_rgb, sigma_xy, resolution, filter_method, landmarks, seed, from_logits: see `DenseCRFLoss`.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As for `DenseCRFLoss`.

    Raises:
        ValueError: if an argument is out of range, or `y_true` contains no image.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> image = np.zeros((1, 2, 4, 3), "float32")
        >>> image[:, :, 2:] = 1  # black on the left, white on the right
        >>> along = np.where(image[..., :1] > 0, [9.0, -9.0], [-9.0, 9.0])
        >>> loss = NormalizedCutLoss(weight=1.0, resolution=1.0)
        >>> float(loss(targets.pack(np.full((1, 2, 4), 255), image), along)) < 1e-4
        True

    Source: Tang et al. 2018, arXiv:1803.09569, equations 5 and 12; Shi & Malik 2000.
    """

    def __init__(
        self,
        weight=0.03,
        sigma_rgb=15 / 255,
        sigma_xy=100.0,
        resolution=0.5,
        filter_method="auto",
        landmarks=256,
        seed=0,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="normalized_cut",
        dtype=None,
    ):
        super().__init__(
            weight=weight,
            sigma_rgb=sigma_rgb,
            sigma_xy=sigma_xy,
            resolution=resolution,
            filter_method=filter_method,
            landmarks=landmarks,
            seed=seed,
            from_logits=from_logits,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

    def energy(self, y_true, y_pred):
        labels, guide, height, width = self._grid(y_true)
        y = self._probabilities(y_pred, labels, height, width)
        mask = self._mask(labels, height, width)
        return cut_energy(self._kernel(guide, labels, mask, height, width), y, mask)
