import keras
import numpy as np
from keras import ops

from keras_wsseg import targets
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.partial_cross_entropy import (
    click_frequency_weights,
    log_probabilities_on,
    partial_cross_entropy,
)


@keras.saving.register_keras_serializable("keras_wsseg")
class PartialCrossEntropy(SegmentationLoss):
    """Cross entropy over the annotated pixels of the batch.

    `sum_a w(y_a) (-log p_a(y_a)) / sum_a w(y_a)`, with the sums over all annotated pixels of the batch; 0 if
    there are none. Every method here learns the classes from it.

    Predictions are resized bilinearly to the grid of the labels; logits are interpolated as logits.
    The labels are never resized: at a quarter of the size, 15 of 16 clicks would be lost.

    Args:
        weight: factor of the term.
        class_weights: None (all 1), `"batch"` (`1 / log(1.1 + p)` with p the class's share of the batch's
            annotated pixels: the published setting for clicks on street scenes), or one non-negative number
            per class.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: `(batch, height, width)` labels, or what `targets.pack` returns. Labels that are not a class
        (255, 254) are ignored. `y_pred`: `(batch, h, w, classes)`.

    Raises:
        ValueError: if `class_weights` is none of these, or does not match the number of classes.

    Example:
        >>> import numpy as np
        >>> labels = np.array([[[0, 255], [255, 254]]])
        >>> round(float(PartialCrossEntropy()(labels, np.zeros((1, 2, 2, 4)))), 4)  # log 4
        1.3863

    Source: Obukhov et al. 2019, arXiv:1906.04651, sections 3 and 6.4.
    """

    def __init__(
        self,
        weight=1.0,
        class_weights=None,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="partial_cross_entropy",
        dtype=None,
    ):
        super().__init__(weight=weight, reduction=reduction, name=name, dtype=dtype)
        if isinstance(class_weights, str) or class_weights is None:
            if class_weights not in (None, "batch"):
                raise ValueError(
                    "class_weights must be None, 'batch' or one number per class. "
                    f"Received: class_weights={class_weights!r}"
                )
        else:
            weights = np.asarray(class_weights, "float32")
            if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any():
                raise ValueError(
                    "class_weights must contain one finite number of at least 0 for each class. "
                    f"Received: class_weights={class_weights!r}"
                )
            class_weights = weights.tolist()
        self.class_weights = class_weights
        self.from_logits = from_logits

    def energy(self, y_true, y_pred):
        labels = targets.read(y_true).labels
        classes = y_pred.shape[-1]
        log_probabilities = log_probabilities_on(labels, y_pred, self.from_logits)
        weights = self.class_weights
        if weights == "batch":
            weights = click_frequency_weights(labels, classes)
        elif weights is not None and len(weights) != classes:
            raise ValueError(
                f"class_weights must contain one number for each of the {classes} classes of y_pred. "
                f"Received: {len(weights)} numbers"
            )
        total, count = partial_cross_entropy(log_probabilities, labels, weights)
        return ops.divide_no_nan(total, mean_over_replicas(count))

    def get_config(self):
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "from_logits": self.from_logits,
        }
