"""Dice score."""

import numpy as np
from keras import ops
from keras.saving import register_keras_serializable

from keras_wsseg.metrics.classes import class_ids
from keras_wsseg.metrics.confusion import ConfusionMetric, mean_where


@register_keras_serializable(package="keras_wsseg")
class Dice(ConfusionMetric):
    """Mean Dice score of the classes, the usual score of medical segmentation.

    With TP, FP, FN counted over all pixels seen since the last reset,

        Dice_c = 2 TP_c / (2 TP_c + FP_c + FN_c),

    averaged over those of `classes` that occur in the ground truth or the prediction; 0 if none does. Pixels
    labeled 255 (unlabeled) or 254 (outside the image) are ignored. This pools all images; for the score per
    patient reported in papers, see `GroupedConfusion`.

    Args:
        num_classes: number of classes, 2 to 254.
        ignore_class: a class id, or several, whose pixels are ignored, such as a separate "void" class.
        name: name of the metric in the logs.
        dtype: Keras dtype or policy of the metric; counts are kept in float32 whatever it is.
        classes: class ids to average; by default all but 0, the background, and `ignore_class`.

    Raises:
        ValueError: if `num_classes` is not within 2 to 254, `ignore_class` is not a class id, or `classes` is
            empty or contains a value that is not a class id, or is ignored.

    Example:

    >>> metric = Dice(2)
    >>> labels = np.array([[[0, 1, 1, 255]]])
    >>> logits = np.array([[[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]]])
    >>> metric.update_state(labels, logits)
    >>> round(float(metric.result()), 4)
    0.6667

    Source: Dice, "Measures of the Amount of Ecologic Association Between Species", 1945.
    """

    def __init__(self, num_classes, ignore_class=None, name="dice", dtype=None, *, classes=None):
        super().__init__(num_classes, ignore_class, name, dtype)
        if classes is None:
            classes = [number for number in range(1, self.num_classes) if number not in self.ignored]
        self.classes = class_ids("classes", classes, self.num_classes)
        if not self.classes or set(self.classes) & set(self.ignored):
            raise ValueError(
                "`classes` must contain at least one class, and none of `ignore_class`. "
                f"Received: classes={classes!r}"
            )

    def score(self, confusion):
        hits = ops.diagonal(confusion)
        sizes = ops.sum(confusion, axis=0) + ops.sum(confusion, axis=1)
        averaged = [c in self.classes for c in range(self.num_classes)]
        occurs = ops.logical_and(sizes > 0.0, ops.convert_to_tensor(averaged, dtype="bool"))
        return mean_where(2.0 * hits / ops.where(occurs, sizes, 1.0), occurs)

    def per_class(self):
        """Dice score of each class, including those outside `classes`.

        Returns:
            NumPy float64 `(num_classes,)`; NaN for a class that occurs neither in the ground truth nor in the
            prediction.
        """
        confusion = self.confusion_matrix
        sizes = confusion.sum(0) + confusion.sum(1)
        hits = 2 * np.diagonal(confusion)
        return np.divide(hits, sizes, out=np.full(self.num_classes, np.nan), where=sizes > 0)

    def get_config(self):
        return {**super().get_config(), "classes": list(self.classes)}
