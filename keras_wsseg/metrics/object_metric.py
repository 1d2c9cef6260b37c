"""Base of the scores of one object class."""

from keras import ops

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.metrics.confusion import ConfusionMetric


class ObjectMetric(ConfusionMetric):
    """Streaming confusion matrix for scores of one class, the object, against all others.

    Args:
        num_classes: number of classes, 2 to 254.
        ignore_class: a class id, or several, whose pixels are ignored; must not include `object_class`.
        name: name of the metric in the logs.
        dtype: Keras dtype or policy of the metric; counts are kept in float32 whatever it is.
        object_class: class id of the object.
        threshold: probability, above 0 and below 1, above which a pixel is assigned to the object; None: the
            class with the highest score.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.

    Raises:
        ValueError: if a class id or `threshold` is out of range, or the object's class is ignored.
    """

    def __init__(
        self,
        num_classes=2,
        ignore_class=None,
        name=None,
        dtype=None,
        *,
        object_class=1,
        threshold=None,
        from_logits=True,
    ):
        super().__init__(num_classes, ignore_class, name, dtype)
        self.object_class = check_integer("object_class", object_class, low=0, high=self.num_classes - 1)
        if self.object_class in self.ignored:
            raise ValueError(
                "`ignore_class` must not contain `object_class`. "
                f"Received: object_class={object_class}, ignore_class={ignore_class!r}"
            )
        if threshold is not None:
            check_number("threshold", threshold, above=0, below=1)
        self.threshold = None if threshold is None else float(threshold)
        self.from_logits = bool(from_logits)

    def decide(self, scores):
        """The predicted class: the object above the threshold, else the highest-scoring other class."""
        if self.threshold is None:
            return super().decide(scores)
        probabilities = ops.softmax(scores) if self.from_logits else scores
        is_object = [c == self.object_class for c in range(self.num_classes)]
        others = ops.where(ops.convert_to_tensor(is_object, dtype="bool"), float("-inf"), scores)
        found = probabilities[..., self.object_class] > self.threshold
        return ops.where(found, self.object_class, ops.cast(ops.argmax(others, axis=-1), "int32"))

    def sizes(self, confusion):
        """Numbers of true positive, ground-truth and predicted pixels of the object."""
        k = self.object_class
        return confusion[k, k], ops.sum(confusion[k]), ops.sum(confusion[:, k])

    def get_config(self):
        return {
            **super().get_config(),
            "object_class": self.object_class,
            "threshold": self.threshold,
            "from_logits": self.from_logits,
        }
