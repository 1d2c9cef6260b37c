import keras
from keras import ops

from keras_wsseg import targets
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.partial_cross_entropy import class_cross_entropy, log_probabilities_on


@keras.saving.register_keras_serializable("keras_wsseg")
class BalancedCrossEntropy(SegmentationLoss):
    r"""Cross entropy in which labeled background and labeled foreground have equal weight.

    Labels mined from tags are mostly background, which would otherwise dominate the objects:

    `mean_{y_a = 0} (-log p_a(0)) + mean_{y_a > 0} (-log p_a(y_a))`,

    with the means over the labeled pixels of the *global* batch: under `tf.distribute` and in JAX data
    parallelism they span all replicas. A term without pixels is 0.

    Predictions are resized bilinearly to the grid of the labels; logits are interpolated as logits.

    Args:
        weight: factor of the term.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: `(batch, height, width)` labels, with class 0 the background, or what `targets.pack`
        returns. Labels that are not a class (255, 254) are ignored. `y_pred`: `(batch, h, w, classes)`.

    Raises:
        ValueError: when called, if `y_pred` is not of rank 4.

    Example:
        >>> import numpy as np
        >>> labels = np.array([[[0, 0, 0, 1]]])
        >>> logits = np.tile(np.array([np.log(4.0), 0.0]), (1, 1, 4, 1))  # 0.8 for the background
        >>> round(float(BalancedCrossEntropy()(labels, logits)), 4)  # -log 0.8 - log 0.2
        1.8326

    Source: Zhang et al. 2020, "Reliability Does Matter", arXiv:1911.08039, the cross entropy of the
    segmentation branch.
    """

    def __init__(
        self,
        weight=1.0,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="balanced_cross_entropy",
        dtype=None,
    ):
        super().__init__(weight=weight, reduction=reduction, name=name, dtype=dtype)
        self.from_logits = from_logits

    def energy(self, y_true, y_pred):
        if len(y_pred.shape) != 4:
            raise ValueError(
                "y_pred must be (batch, height, width, classes), with the background first. "
                f"Received: shape {tuple(y_pred.shape)}"
            )
        labels = targets.read(y_true).labels
        log_probabilities = log_probabilities_on(labels, y_pred, self.from_logits)
        totals, counts = class_cross_entropy(log_probabilities, labels)
        energy = 0.0
        for part in (slice(0, 1), slice(1, None)):
            total, count = (ops.sum(sums[:, part], axis=1) for sums in (totals, counts))
            energy = energy + ops.divide_no_nan(total, mean_over_replicas(count))
        return energy

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}
