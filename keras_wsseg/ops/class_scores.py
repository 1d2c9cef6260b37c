"""A prediction with one channel for each class, as logits or as probabilities, whichever it holds."""

from keras import ops

from keras_wsseg.ops.resize import resize_bilinear

# The smallest probability that keeps its digits: a class that is ruled out stays finite.
_LEAST = 1e-30
# Half the distance from 1 to the next smaller float32: what a probability that rounds to 1 leaves to others.
_REST = 2.0**-25


def class_logits(prediction, probabilities=False):
    """Logits with one channel for each class.

    One channel is what it is in Keras, the second of two classes alone: its log-odds `z`, read as `(0, z)`,
    whose softmax is `(1 - sigmoid(z), sigmoid(z))`, or its probability.

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
    """Probabilities with one channel for each class: as `class_logits`, whose softmax it is.

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
    """Logits with one channel for each class at another size, bilinearly.

    Logits are resized as logits, and so is what a softmax makes of them. The probability of one channel is
    resized itself: next to 1 float32 tells log-odds apart in steps of 0.7, and in between a pixel that is
    sure and one that is not such a step would decide. Losses resize the log-odds of one channel all the same:
    they compare no two files, and a gradient follows logits better.

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
    """Logits of which the given probabilities are the softmax, or the sigmoid where there is one channel.

    float32 has no probability between 1 - 6e-8 and 1, so the log-odds of one channel end at 17.3; there, as
    in Keras' own cross entropy of probabilities, a gradient ends.

    Args:
        probabilities: `(..., classes)`; one channel is the probability of the second of two classes.

    Returns:
        The same shape, float32; NaN stays.
    """
    p = ops.cast(probabilities, "float32")
    logits = ops.log(ops.maximum(p, _LEAST))
    return logits - ops.log(ops.maximum(1.0 - p, _REST)) if p.shape[-1] == 1 else logits


def both_classes(logits):
    """Logits of which one channel becomes two, 0 and the log-odds; others stay as they are.

    Args:
        logits: `(..., classes)`.

    Returns:
        `(..., max(classes, 2))`, float32.
    """
    logits = ops.cast(logits, "float32")
    if logits.shape[-1] == 1:
        logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
    return logits
