import keras

from keras_wsseg.kernels.annealable import Annealable
from keras_wsseg.ops.class_scores import class_logits, class_probabilities
from keras_wsseg.ops.finite import without_infinities


class SegmentationLoss(Annealable, keras.losses.Loss):
    """Base class of the losses: a weighted term that can be added to others and is logged separately.

    A subclass implements `energy`, the unweighted value of each image. Terms can be added and scaled,
    `PartialCrossEntropy() + 0.5 * GatedCRFLoss()`, and the sum is a loss.

    The values of a batch are scaled so that their mean is the batch's loss, a ratio of two sums over the
    batch. Keras's default reduction, `"sum_over_batch_size"`, returns that loss; `"none"` returns each
    image's contribution, and `sample_weight` of shape `(batch,)` weights the contributions.

    A subclass that takes probabilities has an attribute `from_logits` that is False. A one-channel prediction
    is the second of two classes, as log-odds or probability, and is passed to `energy` as two channels.
    `WeaklySupervisedModel` detects the final activation of its segmenter and passes `energy` what it
    requires in either case.

    Args:
        weight: factor of the term, at least 0; an attribute that callbacks may anneal.
        reduction, name, dtype: as in every Keras loss. Computation is in float32 whatever the dtype.
    """

    def __init__(self, weight=1.0, reduction="sum_over_batch_size", name=None, dtype=None):
        keras.losses.Loss.__init__(self, name=name, reduction=reduction, dtype=dtype)
        self._declare(weight=weight)

    def energy(self, y_true, y_pred):
        """The unweighted value of each image, `(batch,)`, float32.

        Args:
            y_true: any input of `targets.read`.
            y_pred: `(batch, h, w, classes)`, float32, finite or NaN: logits or probabilities according to
                `from_logits`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement energy(y_true, y_pred).")

    def call(self, y_true, y_pred):
        """The weighted value of each image, `(batch,)`."""
        return self.tensor("weight") * self.energy_of(y_true, y_pred)

    def energy_of(self, y_true, y_pred, probabilities=None):
        """`energy` of a prediction of logits or probabilities.

        Args:
            y_true: any input of `targets.read`.
            y_pred: `(batch, h, w, classes)`, or one channel for the second of two classes.
            probabilities: True if `y_pred` holds probabilities, False for logits; None if it matches
                `from_logits`.
        """
        from_logits = getattr(self, "from_logits", True)
        as_asked = class_logits if from_logits else class_probabilities
        holds = not from_logits if probabilities is None else probabilities
        return self.energy(y_true, without_infinities(as_asked(y_pred, holds)))

    def __add__(self, other):
        from keras_wsseg.losses.loss_sum import LossSum

        return LossSum([self]) + other

    def __mul__(self, factor):
        from keras_wsseg.losses.loss_sum import LossSum

        return LossSum([self]) * factor

    __rmul__ = __mul__

    def get_config(self):
        return {**keras.losses.Loss.get_config(self), **self._declared, "dtype": self.dtype}
