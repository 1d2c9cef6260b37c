"""Cross entropy over annotated pixels only."""

from keras import ops

from keras_wsseg.ops.backend import sum_over_replicas
from keras_wsseg.ops.finite import without_infinities
from keras_wsseg.ops.resize import resize_bilinear


def partial_cross_entropy(log_probabilities, labels, class_weights=None):
    """Sums of the cross entropy over the annotated pixels of each image.

    `sum_a w(y_a) (-log p_a(y_a))` and `sum_a w(y_a)`, over the pixels whose label is a class; all others are
    ignored. The loss is the ratio of the two sums over a batch.

    Args:
        log_probabilities: `(batch, height, width, classes)`.
        labels: `(batch, height, width)`, integers.
        class_weights: `(classes,)`, non-negative; all 1 by default.

    Returns:
        Two tensors `(batch,)`, float32.

    Example:
        >>> import numpy as np
        >>> halves = np.log(np.full((1, 1, 2, 2), 0.5, "float32"))
        >>> total, count = partial_cross_entropy(halves, np.array([[[0, 255]]]))
        >>> round(float(total[0]), 4), round(float(count[0]), 4)
        (0.6931, 1.0)

    Source: Obukhov et al. 2019, arXiv:1906.04651, section 3.
    """
    totals, counts = class_cross_entropy(log_probabilities, labels)
    if class_weights is not None:
        class_weights = ops.cast(class_weights, "float32")
        totals, counts = class_weights * totals, class_weights * counts
    return ops.sum(totals, axis=1), ops.sum(counts, axis=1)


def class_cross_entropy(log_probabilities, labels):
    """Sums of the cross entropy over the annotated pixels of each class, and the numbers of these pixels.

    Args:
        log_probabilities: `(batch, height, width, classes)`.
        labels: `(batch, height, width)`, integers; values that are not a class are ignored.

    Returns:
        Two tensors `(batch, classes)`, float32.
    """
    log_probabilities = without_infinities(log_probabilities)
    # one_hot is all zero for 255 and 254, and, unlike that of a gather, its gradient is not a scatter.
    truth = ops.one_hot(ops.cast(labels, "int32"), log_probabilities.shape[-1], dtype="float32")
    return -ops.sum(truth * log_probabilities, axis=(1, 2)), ops.sum(truth, axis=(1, 2))


def log_probabilities_on(labels, y_pred, from_logits):
    """Log-probabilities of a prediction on the grid of the labels, float32.

    Args:
        labels: `(batch, height, width)`.
        y_pred: `(batch, h, w, classes)`; resized bilinearly to the grid of the labels, logits as logits.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.

    Returns:
        `(batch, height, width, classes)`.
    """
    y_pred = ops.cast(y_pred, "float32")
    if None in labels.shape[1:] or tuple(labels.shape[1:]) != tuple(y_pred.shape[1:3]):
        y_pred = resize_bilinear(y_pred, ops.shape(labels)[1:3])
    return ops.log_softmax(y_pred, axis=-1) if from_logits else ops.log(ops.clip(y_pred, 1e-7, 1.0))


def click_frequency_weights(labels, classes):
    """Class weights from the frequency of each class among the annotated pixels: `1 / log(1.1 + p_class)`.

    Under a `tf.distribute` strategy, the frequencies are those of all replicas' batches together.

    Args:
        labels: `(batch, height, width)`, integers.
        classes: number of classes.

    Returns:
        `(classes,)`, float32, between 1.35 and 10.5.

    Example:
        >>> import numpy as np
        >>> [round(float(w), 2) for w in click_frequency_weights(np.array([[[0, 255, 255]]]), 2)]
        [1.35, 10.49]

    Source: Obukhov et al. 2019, arXiv:1906.04651, section 6.4 (Cityscapes clicks).
    """
    truth = ops.one_hot(ops.cast(labels, "int32"), classes, dtype="float32")
    (counts,) = sum_over_replicas([ops.sum(truth, axis=(0, 1, 2))])
    frequencies = counts / ops.maximum(ops.sum(counts), 1.0)
    return 1.0 / ops.log(1.1 + frequencies)
