import math
import numbers

import keras

from keras_wsseg.losses.segmentation_loss import SegmentationLoss


@keras.saving.register_keras_serializable("keras_wsseg")
class LossSum(keras.losses.Loss):
    """A weighted sum of losses of this library; `a + 0.1 * b` makes one.

    The terms stay the objects that were added, so a callback that holds `b` still anneals it.

    Args:
        losses: the terms: `SegmentationLoss` objects, or other sums, which are flattened.
        factors: one finite number a term; all 1 by default.
        name, reduction, dtype: as in every Keras loss.

    Raises:
        ValueError: if there is no term, or the factors do not fit.
        TypeError: if a term is not a loss of this library.

    Example:
        >>> from keras_wsseg import losses
        >>> loss = losses.PartialCrossEntropy() + 0.5 * losses.GatedCRFLoss()
        >>> [term.name for term in loss.terms], loss.factors
        (['partial_cross_entropy', 'gated_crf'], [1.0, 0.5])
    """

    def __init__(self, losses, factors=None, name="loss_sum", reduction="sum_over_batch_size", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        losses = [keras.saving.deserialize_keras_object(x) if isinstance(x, dict) else x for x in losses]
        factors = [1.0] * len(losses) if factors is None else list(factors)
        if not losses or len(losses) != len(factors):
            raise ValueError(
                "losses must hold at least one term, and factors one number a term. "
                f"Received: {len(losses)} losses, {len(factors)} factors"
            )
        self.terms, self.factors = [], []
        for loss, factor in zip(losses, factors, strict=True):
            if not isinstance(factor, numbers.Real) or not math.isfinite(factor):
                raise ValueError(f"factors must be finite numbers. Received: {factor!r}")
            parts = _parts(loss)
            self.terms += [term for term, _ in parts]
            self.factors += [float(factor) * own for _, own in parts]

    def call(self, y_true, y_pred):
        """The weighted value of each picture, `(batch,)`."""
        return sum(
            factor * term.call(y_true, y_pred) for term, factor in zip(self.terms, self.factors, strict=True)
        )

    @property
    def annealed_variables(self):
        """The variables behind all numbers that callbacks may change."""
        return [variable for term in self.terms for variable in term.annealed_variables]

    def __add__(self, other):
        mine, others = _parts(self), _parts(other)
        return LossSum([term for term, _ in mine + others], [factor for _, factor in mine + others])

    def __mul__(self, factor):
        if not isinstance(factor, numbers.Real):
            raise TypeError(f"a loss can be multiplied by a number only. Received: {factor!r}")
        return LossSum(self.terms, [factor * own for own in self.factors])

    __rmul__ = __mul__

    def get_config(self):
        return {
            **super().get_config(),
            "losses": [keras.saving.serialize_keras_object(term) for term in self.terms],
            "factors": self.factors,
            "dtype": self.dtype,
        }


def _parts(loss):
    if isinstance(loss, LossSum):
        return list(zip(loss.terms, loss.factors, strict=True))
    if isinstance(loss, SegmentationLoss):
        return [(loss, 1.0)]
    raise TypeError(
        "only losses of keras_wsseg can be added, since only they read labels and guide from one y_true. "
        f"Received: {loss!r}"
    )
