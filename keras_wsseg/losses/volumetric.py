import keras

from keras_wsseg.arguments import check_number
from keras_wsseg.losses.object_loss import ObjectLoss, chosen_mean
from keras_wsseg.ops.object_priors import object_fraction, smallness_energy, volumetric_energy

SMALL_REDUCTIONS = ("sum", "mean")


@keras.saving.register_keras_serializable("keras_wsseg")
class VolumetricLoss(ObjectLoss):
    r"""Volumetric prior: the object covers half of the pixels of a batch, and a minimum share of each image.

    It keeps a regularizer from assigning one label to everything. The first term constrains only the mean
    over the batch, so individual images may deviate:

    `L = (mean_i x_i - target_fraction)^2 + small_weight sum_i [x_i < min_fraction] (x_i - min_fraction)^2`

    with `x_i` the mean of the object's probability over image i. Both terms are over the positive images of
    the *global* batch: under `tf.distribute` and in JAX data parallelism they span all replicas.

    Args:
        weight: lambda, the factor of the term.
        target_fraction: expected fraction of the image that is object.
        min_fraction: fraction below which the object is considered lost in an image.
        small_weight: factor of the second term.
        small_reduction: `"sum"` over the images of the batch, as printed, or their `"mean"`, as in the
            published code; the sum is larger by a factor of the number of images.
        object_class: see `SparseCRFLoss`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: labels `(batch, height, width)`, or what `targets.pack` returns. `y_pred`:
        `(batch, h, w, classes)`. Pixels outside the image (254) are ignored.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> labels = np.full((2, 4, 4), 255)
        >>> all_object = np.tile(np.array([-9.0, 9.0], "float32"), (2, 4, 4, 1))
        >>> round(float(VolumetricLoss()(labels, all_object)), 4)
        0.25

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation",
    ECCV 2020, the volumetric term.
    """

    def __init__(
        self,
        weight=1.0,
        target_fraction=0.5,
        min_fraction=0.15,
        small_weight=5.0,
        small_reduction="sum",
        object_class=1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="volumetric",
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
        for argument, value in (("target_fraction", target_fraction), ("min_fraction", min_fraction)):
            check_number(argument, value, low=0, high=1)
        if small_reduction not in SMALL_REDUCTIONS:
            raise ValueError(
                f"small_reduction must be one of {SMALL_REDUCTIONS}. "
                f"Received: small_reduction={small_reduction!r}"
            )
        self._declare(weight=weight, small_weight=small_weight)
        self.target_fraction, self.min_fraction, self.small_reduction = (
            target_fraction,
            min_fraction,
            small_reduction,
        )

    def energy(self, y_true, y_pred):
        scene = self._scene(y_true, y_pred)
        fraction = object_fraction(scene.x, scene.inside)
        shares, count, (mean,) = chosen_mean(scene.positive, fraction)
        small = smallness_energy(fraction, self.min_fraction)
        small = small * (count if self.small_reduction == "sum" else 1.0)
        return shares * (volumetric_energy(mean, self.target_fraction) + self.tensor("small_weight") * small)

    def get_config(self):
        return {
            **super().get_config(),
            "target_fraction": self.target_fraction,
            "min_fraction": self.min_fraction,
            "small_reduction": self.small_reduction,
        }
