"""Mean intersection over union."""

import numpy as np
from keras import ops
from keras.saving import register_keras_serializable

from keras_wsseg.metrics.confusion import ConfusionMetric, mean_where


@register_keras_serializable(package="keras_wsseg")
class MeanIoU(ConfusionMetric):
    """Mean intersection over union of the classes, the score of PASCAL VOC and Cityscapes.

    Unlike `keras.metrics.MeanIoU` it accepts logits or probabilities at any resolution, ignores the pixels
    labeled 255 (unlabeled) and 254 (outside the image), and reports the score of each class. With N the
    confusion matrix of all pixels seen since the last reset,

        IoU_c = N_cc / (Σ_j N_cj + Σ_i N_ic − N_cc),

    averaged over the classes that occur in the ground truth or the prediction; 0 if no pixel was counted.

    Args:
        num_classes: number of classes, 2 to 254.
        ignore_class: a class id, or several, whose pixels are ignored and which are excluded from the mean.
        name: name of the metric in the logs.
        dtype: Keras dtype or policy of the metric; counts are kept in float32 whatever it is.

    Raises:
        ValueError: if `num_classes` is not within 2 to 254, or `ignore_class` is not a class id.

    Example:

    >>> metric = MeanIoU(2)
    >>> labels = np.array([[[0, 1, 1, 255]]])
    >>> logits = np.array([[[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]]])
    >>> metric.update_state(labels, logits)
    >>> metric.per_class()
    array([0.5, 0.5])
    >>> round(float(metric.result()), 4)
    0.5

    Source: Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", 2015,
    section 4.2.
    """

    def __init__(self, num_classes, ignore_class=None, name="mean_iou", dtype=None):
        super().__init__(num_classes, ignore_class, name, dtype)

    def score(self, confusion):
        hits = ops.diagonal(confusion)
        union = ops.sum(confusion, axis=0) + ops.sum(confusion, axis=1) - hits
        scored = [c not in self.ignored for c in range(self.num_classes)]
        occurs = ops.logical_and(union > 0.0, ops.convert_to_tensor(scored, dtype="bool"))
        return mean_where(hits / ops.where(occurs, union, 1.0), occurs)

    def per_class(self):
        """IoU of each class.

        Returns:
            NumPy float64 `(num_classes,)`; NaN for a class that occurs neither in the ground truth nor in the
            prediction, and for the `ignore_class`.
        """
        confusion = self.confusion_matrix
        hits = np.diagonal(confusion)
        union = confusion.sum(0) + confusion.sum(1) - hits
        union[list(self.ignored)] = 0
        return np.divide(hits, union, out=np.full(self.num_classes, np.nan), where=union > 0)
