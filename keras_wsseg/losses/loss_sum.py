import keras

from keras_wsseg.arguments import check_number
from keras_wsseg.losses.segmentation_loss import SegmentationLoss


@keras.saving.register_keras_serializable("keras_wsseg")
class LossSum(keras.losses.Loss):
    """A weighted sum of losses of this library; `a + 0.1 * b` creates one.

    The terms remain the same objects, so a callback with a reference to `b` still anneals it.

    Args:
        losses: the terms: `SegmentationLoss` objects, or other sums, which are flattened.
        factors: one finite number per term; all 1 by default.
        name: as in every Keras loss.
        reduction, dtype: by default those of the terms, which must agree.

    Raises:
        ValueError: if there is no term, the number of factors differs from that of terms, or the terms
            differ in reduction or dtype.
        TypeError: if a term is not a loss of this library.

    Example:
        >>> from keras_wsseg import losses
        >>> loss = losses.PartialCrossEntropy() + 0.5 * losses.GatedCRFLoss()
        >>> [term.name for term in loss.terms], loss.factors
        (['partial_cross_entropy', 'gated_crf'], [1.0, 0.5])
    """

    def __init__(self, losses, factors=None, name="loss_sum", reduction=None, dtype=None):
        losses = [keras.saving.deserialize_keras_object(x) if isinstance(x, dict) else x for x in losses]
        factors = [1.0] * len(losses) if factors is None else list(factors)
        if not losses or len(losses) != len(factors):
            raise ValueError(
                "losses must contain at least one term, and factors one number per term. "
                f"Received: {len(losses)} losses, {len(factors)} factors"
            )
        terms, products = [], []
        for loss, factor in zip(losses, factors, strict=True):
            check_number("factors", factor)
            parts = weighted_terms(loss)
            terms += [term for term, _ in parts]
            products += [float(factor) * own for _, own in parts]
        agreed = {}
        for option, given in (("reduction", reduction), ("dtype", dtype)):
            found = {getattr(term, option) for term in terms}
            if len(found) > 1:
                raise ValueError(f"losses must agree in {option}. Received: {sorted(map(str, found))}")
            agreed[option] = found.pop() if given is None else given
        super().__init__(name=name, **agreed)
        self.terms, self.factors = terms, products

    def call(self, y_true, y_pred):
        """The weighted value of each image, `(batch,)`."""
        return sum(
            factor * term.call(y_true, y_pred) for term, factor in zip(self.terms, self.factors, strict=True)
        )

    @property
    def annealed_variables(self):
        """The variables that hold all annealable values."""
        return [variable for term in self.terms for variable in term.annealed_variables]

    def __add__(self, other):
        mine, others = weighted_terms(self), weighted_terms(other)
        return LossSum([term for term, _ in mine + others], [factor for _, factor in mine + others])

    def __mul__(self, factor):
        check_number("factor", factor)
        return LossSum(self.terms, [factor * own for own in self.factors])

    __rmul__ = __mul__

    def get_config(self):
        return {
            **super().get_config(),
            "losses": [keras.saving.serialize_keras_object(term) for term in self.terms],
            "factors": self.factors,
            "dtype": self.dtype,
        }


def weighted_terms(loss):
    """The terms of a loss, each with its factor."""
    if isinstance(loss, LossSum):
        return list(zip(loss.terms, loss.factors, strict=True))
    if isinstance(loss, SegmentationLoss):
        return [(loss, 1.0)]
    raise TypeError(
        "only losses of keras_wsseg can be added, since only they read labels and guide from one y_true. "
        f"Received: {loss!r}"
    )
