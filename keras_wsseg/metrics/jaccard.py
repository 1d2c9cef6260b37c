"""Jaccard score of an object."""

from keras import ops
from keras.saving import register_keras_serializable

from keras_wsseg.metrics.object_metric import ObjectMetric


@register_keras_serializable(package="keras_wsseg")
class Jaccard(ObjectMetric):
    """Jaccard score (intersection over union) of one object class, the score of co-segmentation.

    With TP, FP, FN the numbers of true positive, false positive and false negative pixels of the object,

        J = TP / (TP + FP + FN).

    By default they are pooled over all images seen since the last reset. Work on co-segmentation instead
    reports the mean of the per-image scores, where a small object counts as much as a large one:
    `per_image=True`; images whose ground truth and prediction both lack the object are excluded from this
    mean. The score is 0 if nothing was counted. Pixels labeled 255 (unlabeled) or 254 (outside the image) are
    ignored.

    Args:
        num_classes: number of classes, 2 to 254; `y_pred` has that many channels.
        ignore_class: a class id, or several, whose pixels are ignored; must not include `object_class`.
        name: name of the metric in the logs.
        dtype: Keras dtype or policy of the metric; counts are kept in float32 whatever it is.
        object_class: class id of the object.
        threshold: probability, above 0 and below 1, above which a pixel is assigned to the object; None: the
            class with the highest score.
        from_logits: whether `y_pred` holds logits, whose softmax is compared with `threshold`; probabilities
            otherwise. It has no effect without a threshold.
        per_image: whether to average over images instead of pooling all pixels. A `sample_weight` of one
            number per image then weights the images in the mean; one per pixel weights the pixels within
            each image.

    Raises:
        ValueError: if a class id or `threshold` is out of range, or the object's class is ignored.

    Example:

    >>> pooled, averaged = Jaccard(), Jaccard(per_image=True)
    >>> labels = np.array([[[1, 1, 1, 0]], [[0, 1, 0, 0]]])
    >>> logits = np.eye(2)[[[[1, 1, 1, 0]], [[1, 0, 0, 0]]]]
    >>> pooled.update_state(labels, logits)
    >>> averaged.update_state(labels, logits)
    >>> round(float(pooled.result()), 4), round(float(averaged.result()), 4)
    (0.6, 0.5)

    Source: Veksler, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", 2020
    (the experiments on co-segmentation).
    """

    def __init__(
        self,
        num_classes=2,
        ignore_class=None,
        name="jaccard",
        dtype=None,
        *,
        object_class=1,
        threshold=None,
        from_logits=True,
        per_image=False,
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
        self.per_image = bool(per_image)
        if self.per_image:
            self._sum_and_weight = self.add_variable(
                (2,), initializer="zeros", dtype="float32", name="sum_and_weight"
            )

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, prediction, weights = self._pixels(y_true, y_pred, sample_weight)
        self._count(labels, prediction, weights)
        if self.per_image:
            true, found = labels == self.object_class, prediction == self.object_class
            self._add_images(true, found, weights, _image_weight(sample_weight))

    update_state.__doc__ = ObjectMetric.update_state.__doc__

    def _add_images(self, true, found, weights, image_weight):
        both = ops.sum(ops.where(ops.logical_and(true, found), weights, 0.0), axis=(1, 2))
        either = ops.sum(ops.where(ops.logical_or(true, found), weights, 0.0), axis=(1, 2))
        occurs = either > 0.0
        scores = both / ops.where(occurs, either, 1.0)
        counted = ops.where(occurs, image_weight, 0.0)
        self._sum_and_weight.assign_add(ops.stack([ops.sum(counted * scores), ops.sum(counted)]))

    def result(self):
        """The score of all pixels counted so far, a float32 scalar; 0 if there are none."""
        if not self.per_image:
            return super().result()
        total, weight = self._sum_and_weight[0], self._sum_and_weight[1]
        return total / ops.where(weight > 0.0, weight, 1.0)

    def score(self, confusion):
        hits, true, found = self.sizes(confusion)
        union = true + found - hits
        return hits / ops.where(union > 0.0, union, 1.0)

    def get_config(self):
        return {**super().get_config(), "per_image": self.per_image}


def _image_weight(sample_weight):
    """Weight of each image in the mean: `(batch,)` or one number; 1 if the weights are per pixel."""
    weight = ops.cast(ops.convert_to_tensor(1.0 if sample_weight is None else sample_weight), "float32")
    if len(weight.shape) > 2:
        return ops.ones((), "float32")
    return ops.reshape(weight, (-1,)) if len(weight.shape) else weight
