import keras
from keras import ops

from keras_wsseg.losses.object_loss import ObjectLoss, chosen_mean
from keras_wsseg.ops.object_priors import object_fraction


@keras.saving.register_keras_serializable("keras_wsseg")
class NegativeLoss(ObjectLoss):
    r"""Negative images: penalizes object predictions in images known not to contain the object.

    Such images teach a network to exclude what commonly occurs with the object, such as the rider of a horse
    or the sky around a plane.

    `L = (mean of x)^2`

    with x the object's probability. It is computed per image and averaged over the negative images of the
    batch: those whose labels contain neither 255 nor the object's class (a label map of zeros). Positive
    images are ignored; the loss is 0 if a batch has no negative image.

    Args:
        weight: lambda, the factor of the term.
        object_class: see `SparseCRFLoss`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As for `VolumetricLoss`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> labels = np.stack([np.full((4, 4), 255), np.zeros((4, 4), int)])  # a positive, a negative image
        >>> undecided = np.zeros((2, 4, 4, 2), "float32")
        >>> round(float(NegativeLoss()(labels, undecided)), 4)  # 2 * 0.5 ** 2
        0.5

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation",
    ECCV 2020, the term of negative images. The paper prints the mean minus 1, which applies to the
    background's probability.
    """

    def __init__(
        self,
        weight=2.0,
        object_class=1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="negative",
        dtype=None,
    ):
        super().__init__(
            weight=weight,
            object_class=object_class,
            from_logits=from_logits,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

    def energy(self, y_true, y_pred):
        scene = self._scene(y_true, y_pred)
        shares, _, _ = chosen_mean(scene.negative)
        return shares * ops.square(object_fraction(scene.x, scene.inside))
