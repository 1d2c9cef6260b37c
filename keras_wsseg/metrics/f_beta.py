"""F measure of an object."""

from keras import ops
from keras.saving import register_keras_serializable

from keras_wsseg.arguments import check_number
from keras_wsseg.metrics.object_metric import ObjectMetric


@register_keras_serializable(package="keras_wsseg")
class FBeta(ObjectMetric):
    """F measure of one object class, the score of salient object and single-class segmentation.

    It combines precision P and recall R of the object,

        F = (1 + β²) P R / (β² P + R),    P = TP / (TP + FP),    R = TP / (TP + FN),

    with TP, FP, FN counted over all pixels of all images seen since the last reset, so a large object counts
    more than a small one, and the score is not a mean over images or batches. β² = 0.3, the convention of
    salient object detection, weights precision more than recall; 1 gives the Dice score. The score is 0 if
    the object is neither in the ground truth nor in the prediction. Pixels labeled 255 (unlabeled) or 254
    (outside the image) are ignored.

    Args:
        num_classes: number of classes, 2 to 254; `y_pred` has that many channels.
        ignore_class: a class id, or several, whose pixels are ignored; must not include `object_class`.
        name: name of the metric in the logs.
        dtype: Keras dtype or policy of the metric; counts are kept in float32 whatever it is.
        beta: β, finite and at least 0: the weight of recall relative to precision. By default √0.3.
        object_class: class id of the object.
        threshold: probability, above 0 and below 1, above which a pixel is assigned to the object; None: the
            class with the highest score.
        from_logits: whether `y_pred` holds logits, whose softmax is compared with `threshold`; probabilities
            otherwise. It has no effect without a threshold.

    Raises:
        ValueError: if a class id, `beta` or `threshold` is out of range, or the object's class is
            ignored.

    Example:

    >>> metric = FBeta()
    >>> labels = np.array([[[0, 1, 1, 255]]])
    >>> logits = np.array([[[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]]])
    >>> metric.update_state(labels, logits)  # P = 1, R = 1/2
    >>> round(float(metric.result()), 4)
    0.8125

    Source: Veksler, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", 2020
    (β² = 0.3, pooled over the test set).
    """

    def __init__(
        self,
        num_classes=2,
        ignore_class=None,
        name="f_beta",
        dtype=None,
        *,
        beta=0.3**0.5,
        object_class=1,
        threshold=None,
        from_logits=True,
    ):
        super().__init__(
            num_classes,
            ignore_class,
            name,
            dtype,
            object_class=object_class,
            threshold=threshold,
            from_logits=from_logits,
        )
        self.beta = float(check_number("beta", beta, low=0))

    def score(self, confusion):
        # (1 + β²) TP / (β² true + found) is equivalent, with a single division to guard against 0/0.
        hits, true, found = self.sizes(confusion)
        weighted = self.beta**2 * true + found
        return ops.where(hits > 0.0, (1.0 + self.beta**2) * hits / ops.where(hits > 0.0, weighted, 1.0), 0.0)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}
