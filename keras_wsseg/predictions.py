"""What `y_pred` holds where it is known, so that every loss and metric gets what it asks for.

A loss says by `from_logits` what it takes; a `keras.Model` may end in a softmax or sigmoid whatever the loss
says. `WeaklySupervisedModel` looks at its segmenter and says here what comes.
"""

import contextlib
import contextvars

from keras_wsseg.ops.class_scores import class_logits, class_probabilities

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
    known = _probabilities.get()
    read = class_logits if from_logits else class_probabilities
    return read(y_pred, not from_logits if known is None else known)
