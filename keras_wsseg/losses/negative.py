import keras
from keras import ops

from keras_wsseg.losses.object_loss import ObjectLoss, chosen_mean
from keras_wsseg.ops.object_priors import object_fraction


@keras.saving.register_keras_serializable("keras_wsseg")
class NegativeLoss(ObjectLoss):
    r"""Negative images, known not to hold the object, shall be background everywhere.

    They teach a net what the object is not: the rider that comes with every horse, the sky with every plane.

    `L = (mean of x)^2`

    with x the object's probability. Per image, then the mean over the negative images of the batch: those
    whose labels hold no 255 and not the object's class (a label map of zeros). Positive ones take no part; 0
    where a batch has no negative one.

    Args:
        weight: lambda, the factor of the term.
        object_class: see `SparseCRFLoss`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As of `VolumetricLoss`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> labels = np.stack([np.full((4, 4), 255), np.zeros((4, 4), int)])  # a positive, a negative image
        >>> undecided = np.zeros((2, 4, 4, 2), "float32")
        >>> round(float(NegativeLoss()(labels, undecided)), 4)  # 2 * 0.5 ** 2
        0.5

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation",
    ECCV 2020, the term of negative images. It prints the mean less 1, which speaks of the background's
    probability.
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
