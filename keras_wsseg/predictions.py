"""Whether `y_pred` holds logits or probabilities, if known, so that every metric gets what it expects.

A metric declares its input by `from_logits`, but a `keras.Model` may end in a softmax or sigmoid regardless.
`WeaklySupervisedModel` inspects its segmenter and records the result here, since it cannot pass it to the
metrics through Keras.
"""

import contextlib
import contextvars

from keras import ops

from keras_wsseg.ops.class_scores import resized_class_logits

_probabilities = contextvars.ContextVar("prediction_holds_probabilities", default=None)


@contextlib.contextmanager
def holding(probabilities):
    """Declares what the predictions passed to metrics hold, while the context is active.

    Args:
        probabilities: True for probabilities, False for logits, None if unknown.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import metrics
        >>> metric = metrics.Jaccard(threshold=0.7)
        >>> with holding(probabilities=True):
        ...     metric.update_state(np.ones((1, 1, 1)), np.array([[[[0.2, 0.8]]]], "float32"))
        >>> round(float(metric.result()), 4)
        1.0
    """
    token = _probabilities.set(probabilities)
    try:
        yield
    finally:
        _probabilities.reset(token)


def is_known():
    """Whether it is currently known what predictions hold."""
    return _probabilities.get() is not None


def resized_as_asked(y_pred, from_logits, size):
    """A prediction as logits or probabilities of each class, resized in the same way as in exported files.

    So a score is that of the deployed file. Losses do not use this: where they need to, they resize logits
    to the labels, even those of a single sigmoid, whereas this function resizes its probability.

    Args:
        y_pred: `(batch, height, width, classes)`, or one channel for the second of two classes. If it is
            unknown what it holds, it is assumed to hold what is requested.
        from_logits: whether logits are requested; probabilities otherwise.
        size: `(height, width)`, integers or integer tensors.

    Returns:
        `(batch, *size, max(classes, 2))`, float32.
    """
    known = _probabilities.get()
    logits = resized_class_logits(y_pred, size, not from_logits if known is None else known)
    return logits if from_logits else ops.softmax(logits, axis=-1)
