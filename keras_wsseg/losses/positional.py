import keras

from keras_wsseg.arguments import check_integer
from keras_wsseg.losses.object_loss import ObjectLoss, chosen_mean
from keras_wsseg.ops.object_priors import positional_energy


@keras.saving.register_keras_serializable("keras_wsseg")
class PositionalLoss(ObjectLoss):
    r"""Positional prior: the object is at the center of the image, and the image border is background.

    Without it nothing distinguishes object from background; it is a soft prior, not a label, and images may
    violate it a little.

    `L = (mean of x over the frame of width border)^2 + (mean of x over the middle center x center - 1)^2`

    It is computed per image and averaged over the positive images of the batch. It assumes whole images:
    train on those, not on crops.

    Args:
        weight: lambda, the factor of the term.
        border: width of the frame, in pixels of the prediction.
        center: side of the square in the middle, in pixels of the prediction.
        object_class: see `SparseCRFLoss`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As for `VolumetricLoss`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> labels = np.full((1, 9, 9), 255)
        >>> x = np.zeros((1, 9, 9))
        >>> x[:, 3:6, 3:6] = 1
        >>> round(float(PositionalLoss(from_logits=False)(labels, np.stack([1 - x, x], axis=-1))), 4)
        0.0

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation",
    ECCV 2020, the positional term.
    """

    def __init__(
        self,
        weight=1.0,
        border=3,
        center=3,
        object_class=1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="positional",
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
        for argument, value in (("border", border), ("center", center)):
            check_integer(argument, value, low=1)
        self.border, self.center = border, center

    def energy(self, y_true, y_pred):
        scene = self._scene(y_true, y_pred)
        shares, _, _ = chosen_mean(scene.positive)
        return shares * positional_energy(scene.x, self.border, self.center, scene.inside)

    def get_config(self):
        return {**super().get_config(), "border": self.border, "center": self.center}
