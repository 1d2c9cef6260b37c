"""Conversion of predictions to one channel per class, as logits or as probabilities."""

from keras import ops

from keras_wsseg.ops.resize import resize_bilinear

# Lower bound of probabilities, so that the logit of a zero probability is finite.
_LEAST = 1e-30
# Half the distance from 1 to the next smaller float32: what a probability that rounds to 1 may leave.
_REST = 2.0**-25


def class_logits(prediction, probabilities=False):
    """Logits with one channel per class.

    As in Keras, one channel is the second of two classes: its log-odds `z`, interpreted as `(0, z)`, whose
    softmax is `(1 - sigmoid(z), sigmoid(z))`, or its probability.

    Args:
        prediction: `(batch, height, width, classes)`, or one channel for two classes.
        probabilities: whether it holds probabilities; logits otherwise.

    Returns:
        `(batch, height, width, max(classes, 2))`, float32.

    Example:

    >>> import numpy as np
    >>> p = np.full((1, 1, 1, 1), 0.75, "float32")
    >>> [round(float(z), 4) for z in ops.ravel(class_logits(p, probabilities=True))]  # 0 and log 3
    [0.0, 1.0986]
    """
    return both_classes(logits_of(prediction) if probabilities else prediction)


def class_probabilities(prediction, probabilities=False):
    """Probabilities with one channel per class: the softmax of `class_logits`.

    Args:
        prediction, probabilities: see `class_logits`.

    Returns:
        `(batch, height, width, max(classes, 2))`, float32.

    Example:

    >>> import numpy as np
    >>> p = np.full((1, 1, 1, 1), 0.75, "float32")
    >>> [round(float(q), 2) for q in ops.ravel(class_probabilities(p, probabilities=True))]
    [0.25, 0.75]
    """
    if not probabilities:
        return ops.softmax(both_classes(prediction), axis=-1)
    p = ops.cast(prediction, "float32")
    return ops.concatenate([1.0 - p, p], axis=-1) if p.shape[-1] == 1 else p


def resized_class_logits(prediction, size, probabilities=False):
    """Logits with one channel per class, resized bilinearly to another size.

    Logits are resized as logits, and softmax probabilities are converted to logits first. One-channel
    probabilities are resized as probabilities: near 1, float32 resolves log-odds only in steps of 0.7, and
    between a confident and an uncertain pixel such a step would decide the class. Losses nevertheless resize
    the log-odds of one channel: they need not match an exported file, and gradients are better with logits.

    Args:
        prediction: `(batch, h, w, classes)`, or one channel for two classes.
        size: `(height, width)` of the result, integers or integer tensors.
        probabilities: whether it holds probabilities; logits otherwise.

    Returns:
        `(batch, *size, max(classes, 2))`, float32.
    """
    if probabilities and prediction.shape[-1] > 1:
        prediction, probabilities = logits_of(prediction), False
    return class_logits(resize_bilinear(ops.cast(prediction, "float32"), size), probabilities)


def logits_of(probabilities):
    """Logits whose softmax, or sigmoid if there is one channel, gives the probabilities.

    float32 has no value between 1 - 6e-8 and 1, so the log-odds of one channel are at most 17.3; there the
    gradient vanishes, as in Keras's cross entropy of probabilities.

    Args:
        probabilities: `(..., classes)`; one channel is the probability of the second of two classes.

    Returns:
        The same shape, float32; NaN stays.
    """
    p = ops.cast(probabilities, "float32")
    logits = ops.log(ops.maximum(p, _LEAST))
    return logits - ops.log(ops.maximum(1.0 - p, _REST)) if p.shape[-1] == 1 else logits


def both_classes(logits):
    """Converts one channel to two, 0 and the log-odds; other logits are unchanged.

    Args:
        logits: `(..., classes)`.

    Returns:
        `(..., max(classes, 2))`, float32.
    """
    logits = ops.cast(logits, "float32")
    if logits.shape[-1] == 1:
        logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
    return logits
