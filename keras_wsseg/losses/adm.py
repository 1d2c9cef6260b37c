import keras
from keras import ops

from keras_wsseg.arguments import check_integer
from keras_wsseg.losses.dense_regularizer import DenseRegularizer
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.dense_crf import propose_labels


@keras.saving.register_keras_serializable("keras_wsseg")
class ADMLoss(DenseRegularizer):
    r"""Trains on labels proposed by a dense CRF: alternating direction minimization (ADM).

    The proposal-based approach that predates losses such as `DenseCRFLoss`: in each step, mean-field
    inference turns the prediction `S` into a proposal `X`, which then serves as ground truth,

    `L = sum_{p unlabeled} H(X_p, S_p) / count`, `X ~ S exp(2 lambda W X)`, no gradient through `X`,

    with labeled pixels clamped to their labels while `X` is computed. Add `PartialCrossEntropy()` for the
    labeled pixels: `PartialCrossEntropy() + ADMLoss()`. The paper finds that it ends at a higher dense CRF
    energy than gradient descent on that energy.

    Args:
        weight: factor of the term.
        coupling: `lambda` times the mean of `W 1` over the image, at least 0: how strongly pixels of similar
            appearance are coupled. With 0 the target is the prediction itself.
        iterations: mean-field steps, at least 1.
        sigma_rgb, sigma_xy, resolution, filter_method, landmarks, seed, from_logits: see `DenseCRFLoss`.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As for `DenseCRFLoss`. A cell of the loss's grid counts as labeled if any of its pixels is.

    Raises:
        ValueError: if an argument is out of range, or `y_true` contains no image.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> y_true = targets.pack(np.full((1, 4, 4), 255), np.zeros((1, 4, 4, 3), "float32"))
        >>> undecided = np.zeros((1, 4, 4, 2), "float32")
        >>> round(float(ADMLoss(weight=1.0, resolution=1.0)(y_true, undecided)), 4)  # log 2
        0.6931

    Source: Tang et al. 2018, arXiv:1803.09569, section 3, equations 7 to 10. There `lambda` multiplies the
    raw sums, and the cross entropies are summed over pixels rather than averaged as here.
    """

    def __init__(
        self,
        weight=0.3,
        coupling=2.0,
        iterations=5,
        sigma_rgb=15 / 255,
        sigma_xy=100.0,
        resolution=0.5,
        filter_method="auto",
        landmarks=256,
        seed=0,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="adm",
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
            coupling=coupling,
        )
        self.iterations = check_integer("iterations", iterations, low=1)

    def energy(self, y_true, y_pred):
        labels, guide, height, width = self._grid(y_true)
        y = self._probabilities(y_pred, labels, height, width)
        mask = self._mask(labels, height, width)
        known, labeled = self._known(labels, height, width, y.shape[-1])
        kernel = self._kernel(guide, labels, mask, height, width)
        proposed = propose_labels(kernel, y, mask, known, self.tensor("coupling"), self.iterations)
        unlabeled = mask[..., 0] * (1.0 - labeled)
        entropy = -ops.sum(proposed * ops.log(ops.maximum(y, 1e-30)), axis=-1)
        total, count = ops.sum(unlabeled * entropy, axis=1), ops.sum(unlabeled, axis=1)
        return ops.divide_no_nan(total, mean_over_replicas(count))

    def _known(self, labels, height, width, classes):
        """Share of each class among a cell's labeled pixels, `(batch, pixels, classes)`; 0 if there are none.

        Also a mask `(batch, pixels)`, 1 for cells with labeled pixels, else 0.
        """
        # one_hot gives a row of zeros for labels that are not a class, such as 255.
        shares = self._averaged(ops.one_hot(labels, classes, dtype="float32"), height, width)
        shares = ops.reshape(shares, (-1, height * width, classes))
        total = ops.sum(shares, axis=-1, keepdims=True)
        labeled = total > 1e-4
        known = ops.where(labeled, shares / ops.maximum(total, 1e-4), 0.0)
        return known, ops.cast(labeled[..., 0], "float32")

    def get_config(self):
        return {**super().get_config(), "iterations": self.iterations}
