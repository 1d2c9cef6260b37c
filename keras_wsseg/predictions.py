"""What `y_pred` holds where it is known, so that every loss and metric gets what it asks for.

A loss says by `from_logits` what it takes; a `keras.Model` may end in a softmax or sigmoid whatever the loss
says. `WeaklySupervisedModel` looks at its segmenter and says here what comes.
"""

import contextlib
import contextvars

from keras import ops

from keras_wsseg.ops.class_scores import class_logits, class_probabilities, resized_class_logits

_probabilities = contextvars.ContextVar("prediction_holds_probabilities", default=None)


@contextlib.contextmanager
def holding(probabilities):
    """Says what the predictions hold that losses and metrics are given while it is active.

    Args:
        probabilities: True for probabilities, False for logits, None where that is not known.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import losses
        >>> labels, sure = np.ones((1, 1, 1)), np.array([[[[0.0, 1.0]]]], "float32")
        >>> with holding(probabilities=True):
        ...     round(float(losses.PartialCrossEntropy()(labels, sure)), 4)
        0.0
    """
    token = _probabilities.set(probabilities)
    try:
        yield
    finally:
        _probabilities.reset(token)


def is_known():
    """Whether it is known what predictions hold now."""
    return _probabilities.get() is not None


def as_asked(y_pred, from_logits):
    """A prediction as logits or probabilities with one channel for each class.

    Args:
        y_pred: `(batch, height, width, classes)`, or one channel for the second of two classes. Where it is
            not known what it holds, it holds what is asked for.
        from_logits: whether logits are asked for; probabilities otherwise.

    Returns:
        `(batch, height, width, max(classes, 2))`, float32.
    """
    read = class_logits if from_logits else class_probabilities
    return read(y_pred, _holds_probabilities(from_logits))


def resized_as_asked(y_pred, from_logits, size):
    """As `as_asked`, at another size by the rule of exports, so that a score is that of the deployed file.

    A loss is not given its prediction so: it brings logits to the labels itself where it needs that, and
    those of one sigmoid too, where this resizes the probability.

    Args:
        y_pred: as in `as_asked`.
        from_logits: as in `as_asked`.
        size: `(height, width)`, integers or integer tensors.

    Returns:
        `(batch, *size, max(classes, 2))`, float32.
    """
    logits = resized_class_logits(y_pred, size, _holds_probabilities(from_logits))
    return logits if from_logits else ops.softmax(logits, axis=-1)


def _holds_probabilities(from_logits):
    known = _probabilities.get()
    return not from_logits if known is None else known
