"""What `y_pred` holds where it is known, so that every metric gets what it asks for.

A metric says by `from_logits` what it takes; a `keras.Model` may end in a softmax or sigmoid whatever the
metric says. `WeaklySupervisedModel` looks at its segmenter and says here what comes, since between it and the
metrics stands Keras.
"""

import contextlib
import contextvars

from keras import ops

from keras_wsseg.ops.class_scores import resized_class_logits

_probabilities = contextvars.ContextVar("prediction_holds_probabilities", default=None)


@contextlib.contextmanager
def holding(probabilities):
    """Says what the predictions hold that metrics are given while it is active.

    Args:
        probabilities: True for probabilities, False for logits, None where that is not known.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import metrics
        >>> metric = metrics.Jaccard(threshold=0.7)
        >>> with holding(probabilities=True):
        ...     metric.update_state(np.ones((1, 1, 1)), np.array([[[[0.2, 0.8]]]], "float32"))
        >>> float(metric.result())
        1.0
    """
    token = _probabilities.set(probabilities)
    try:
        yield
    finally:
        _probabilities.reset(token)


def is_known():
    """Whether it is known what predictions hold now."""
    return _probabilities.get() is not None


def resized_as_asked(y_pred, from_logits, size):
    """A prediction as logits or probabilities of each class, at another size by the rule of exports.

    So a score is that of the deployed file. A loss is not given its prediction so: it brings logits to the
    labels itself where it needs that, and those of one sigmoid too, where this resizes the probability.

    Args:
        y_pred: `(batch, height, width, classes)`, or one channel for the second of two classes. Where it is
            not known what it holds, it holds what is asked for.
        from_logits: whether logits are asked for; probabilities otherwise.
        size: `(height, width)`, integers or integer tensors.

    Returns:
        `(batch, *size, max(classes, 2))`, float32.
    """
    known = _probabilities.get()
    logits = resized_class_logits(y_pred, size, not from_logits if known is None else known)
    return logits if from_logits else ops.softmax(logits, axis=-1)
