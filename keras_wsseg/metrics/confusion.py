"""Streaming confusion matrix, from which all scores of a class map are computed."""

from keras import metrics, ops

from keras_wsseg import predictions
from keras_wsseg.metrics.classes import class_count, ignored_classes
from keras_wsseg.ops.resize import resize_bilinear

# float32 is exact for integers only up to 2**24, and JAX has no 64-bit integers by default: a count is stored
# as low + _BASE * high, both integers that float32 represents exactly up to 2**40 pixels per cell.
_BASE = 65536.0

# A batch is first counted in this many interleaved histograms, so that no cell exceeds 2**24 unless the batch
# has more than 2**28 pixels, and to reduce contention on devices that count with atomic additions.
_LANES = 16


class ConfusionMetric(metrics.Metric):
    """Streaming confusion matrix of a segmentation, for scores computed from it.

    It is the base of `MeanIoU` and `Dice`, and of custom scores: implement `score(confusion)`, where
    `confusion[i, j]` is the number of pixels of true class `i` predicted as `j`. Counts are exact up to 2⁴⁰
    pixels per cell on every backend.

    A pixel is ignored if its label is not in `0 .. num_classes - 1` (255 unlabeled, 254 outside the image,
    or any other value), or is in `ignore_class`.

    Args:
        num_classes: number of classes, 2 to 254; `y_pred` has that many channels.
        ignore_class: a class id, or several, whose pixels are ignored, such as a separate "void" class.
        name: name of the metric in the logs.
        dtype: Keras dtype or policy of the metric; counts are kept in float32 whatever it is.

    Raises:
        ValueError: if `num_classes` is not within 2 to 254, or `ignore_class` is not a class id.
    """

    def __init__(self, num_classes, ignore_class=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = class_count(num_classes)
        self.ignored = ignored_classes(ignore_class, self.num_classes)
        self._counts = self.add_variable(
            (2, self.num_classes, self.num_classes), initializer="zeros", dtype="float32", name="counts"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the counts of a batch.

        Args:
            y_true: `(batch, height, width)` or `(batch, height, width, 1)` integer labels.
            y_pred: `(batch, h, w, num_classes)` logits or probabilities. If `(h, w)` differs from the labels'
                size, they are resized to it bilinearly as given; the labels are never resized. Within
                `WeaklySupervisedModel`, which detects the final activation of its segmenter, they are first
                converted to logits (to probabilities if the metric has an attribute `from_logits` that is
                False), and one channel is converted to two classes.
            sample_weight: a number; one per image, `(batch,)` or `(batch, 1)`; or one per pixel, of
                `y_true`'s shape.

        Raises:
            ValueError: if a shape is none of these.
        """
        labels, prediction, weights = self._pixels(y_true, y_pred, sample_weight)
        self._count(labels, prediction, weights)

    def decide(self, scores):
        """The predicted class of every pixel: by default the one with the highest score; may be overridden.

        Args:
            scores: `(batch, height, width, num_classes)` float32, `y_pred` of `update_state` at the labels'
                size.

        Returns:
            `(batch, height, width)` integer class ids.
        """
        return ops.argmax(scores, axis=-1)

    def _pixels(self, y_true, y_pred, sample_weight):
        """True class, predicted class and weight of every pixel; ignored pixels have weight 0."""
        labels = _labels(y_true)
        if predictions.is_known():
            from_logits = getattr(self, "from_logits", True)
            y_pred = predictions.resized_as_asked(y_pred, from_logits, ops.shape(labels)[1:])
        scores = _scores(y_pred, ops.shape(labels)[1:], self.num_classes)
        valid = ops.logical_and(labels >= 0, labels < self.num_classes)
        for number in self.ignored:
            valid = ops.logical_and(valid, labels != number)
        weights = ops.where(valid, _pixel_weights(sample_weight, labels), 0.0)
        return ops.where(valid, labels, 0), ops.cast(self.decide(scores), "int32"), weights

    def _count(self, labels, prediction, weights):
        cell = labels * self.num_classes + prediction
        self._add(ops.reshape(cell, (-1,)), ops.reshape(weights, (-1,)))

    def _add(self, cell, weights):
        cells = self.num_classes**2
        lane = ops.arange(ops.shape(cell)[0], dtype="int32") % _LANES
        counts = ops.segment_sum(weights, cell + cells * lane, num_segments=_LANES * cells)
        counts = ops.reshape(counts, (_LANES, self.num_classes, self.num_classes))
        high = ops.floor(counts / _BASE)
        low = self._counts[0] + ops.sum(counts - _BASE * high, axis=0)
        carry = ops.floor(low / _BASE)
        high = self._counts[1] + ops.sum(high, axis=0) + carry
        self._counts.assign(ops.stack([low - _BASE * carry, high]))

    def result(self):
        """The score of all pixels counted so far, a float32 scalar; 0 if there are none."""
        return self.score(self._counts[0] + _BASE * self._counts[1])

    def score(self, confusion):
        """The score of a confusion matrix.

        Args:
            confusion: `(num_classes, num_classes)` float32 tensor; rows are the true classes.

        Returns:
            A scalar tensor.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `score(confusion)`.")

    @property
    def confusion_matrix(self):
        """`(num_classes, num_classes)` NumPy float64: `[i, j]` counts pixels of class i predicted as j."""
        low, high = ops.convert_to_numpy(self._counts).astype("float64")
        return low + _BASE * high

    def get_config(self):
        config = super().get_config()
        return {**config, "num_classes": self.num_classes, "ignore_class": list(self.ignored) or None}


def mean_where(values, occurs):
    """Mean of `values` where `occurs`; 0 if it is nowhere true."""
    occurs = ops.cast(occurs, "float32")
    return ops.sum(values * occurs) / ops.maximum(ops.sum(occurs), 1.0)


def _labels(y_true):
    shape = tuple(y_true.shape)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[-1] != 1):
        raise ValueError(
            "`y_true` must be integer labels of shape (batch, height, width) or (batch, height, width, 1). "
            f"Received: shape={shape}"
        )
    labels = ops.cast(y_true, "int32")
    return labels if len(shape) == 3 else ops.squeeze(labels, axis=-1)


def _scores(y_pred, size, num_classes):
    shape = tuple(y_pred.shape)
    if len(shape) != 4 or shape[-1] != num_classes:
        raise ValueError(
            f"`y_pred` must have shape (batch, height, width, {num_classes}), one channel per class. "
            f"Received: shape={shape}"
        )
    return resize_bilinear(ops.cast(y_pred, "float32"), size)


def _pixel_weights(sample_weight, labels):
    if sample_weight is None:
        return ops.ones_like(labels, dtype="float32")
    weights = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    shape = tuple(weights.shape)
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        weights = ops.reshape(weights, (-1, 1, 1))
    elif len(shape) == 4 and shape[-1] == 1:
        weights = ops.squeeze(weights, axis=-1)
    elif len(shape) not in (0, 3):
        raise ValueError(
            "`sample_weight` must be a number, one number per image or one per pixel. "
            f"Received: shape={shape}"
        )
    return ops.broadcast_to(weights, ops.shape(labels))
