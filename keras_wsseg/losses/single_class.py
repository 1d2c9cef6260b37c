import keras

from keras_wsseg.arguments import check_number
from keras_wsseg.losses.loss_sum import LossSum
from keras_wsseg.losses.negative import NegativeLoss
from keras_wsseg.losses.positional import PositionalLoss
from keras_wsseg.losses.sparse_crf import SparseCRFLoss
from keras_wsseg.losses.volumetric import VolumetricLoss


@keras.saving.register_keras_serializable("keras_wsseg")
class SingleClassLoss(LossSum):
    r"""The complete loss for learning one class from images that contain it, without pixel labels.

    `L = crf_weight L_crf + volumetric_weight L_v + positional_weight L_p + negative_weight L_neg`

    combines `SparseCRFLoss`, `VolumetricLoss`, `PositionalLoss` and, for images known not to contain the
    object, `NegativeLoss`. Train it with `callbacks.SingleClassStages`, which first anneals `sigma_rgb`:
    without these stages the result tends to be all object or all background.

    Args:
        crf_weight, volumetric_weight, positional_weight, negative_weight: the factors in the normal stage,
            by default the published ones.
        sigma_rgb: color width of the sparse CRF in the normal stage, for an image in [0, 1].
        target_fraction, min_fraction, small_weight, small_reduction: see `VolumetricLoss`.
        border, center: see `PositionalLoss`.
        object_class: channel of the object in `y_pred`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Attributes:
        crf, volumetric, positional, negative: the four losses.

    Shapes:
        `y_true`: what `targets.pack` returns: labels 255 everywhere in an image that contains the object, 0
        everywhere in one that does not, 254 outside the image. `y_pred`: `(batch, h, w, classes)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> loss = SingleClassLoss()
        >>> [(term.name, term.weight) for term in loss.terms]
        [('sparse_crf', 100.0), ('volumetric', 1.0), ('positional', 1.0), ('negative', 2.0)]

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation",
    ECCV 2020.
    """

    def __init__(
        self,
        crf_weight=100.0,
        volumetric_weight=1.0,
        positional_weight=1.0,
        negative_weight=2.0,
        sigma_rgb=0.15,
        target_fraction=0.5,
        min_fraction=0.15,
        small_weight=5.0,
        small_reduction="sum",
        border=3,
        center=3,
        object_class=1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="single_class",
        dtype=None,
    ):
        weights = {
            "crf_weight": crf_weight,
            "volumetric_weight": volumetric_weight,
            "positional_weight": positional_weight,
            "negative_weight": negative_weight,
        }
        for argument, value in weights.items():
            check_number(argument, value, low=0)
        common = {
            "object_class": object_class,
            "from_logits": from_logits,
            "reduction": reduction,
            "dtype": dtype,
        }
        self.crf = SparseCRFLoss(crf_weight, sigma_rgb, **common)
        self.volumetric = VolumetricLoss(
            volumetric_weight, target_fraction, min_fraction, small_weight, small_reduction, **common
        )
        self.positional = PositionalLoss(positional_weight, border, center, **common)
        self.negative = NegativeLoss(negative_weight, **common)
        super().__init__(losses=[self.crf, self.volumetric, self.positional, self.negative], name=name)

    def get_config(self):
        crf, volumetric, positional = self.crf, self.volumetric, self.positional
        return {
            "crf_weight": crf.declared("weight"),
            "volumetric_weight": volumetric.declared("weight"),
            "positional_weight": positional.declared("weight"),
            "negative_weight": self.negative.declared("weight"),
            "sigma_rgb": crf.declared("sigma_rgb"),
            "target_fraction": volumetric.target_fraction,
            "min_fraction": volumetric.min_fraction,
            "small_weight": volumetric.declared("small_weight"),
            "small_reduction": volumetric.small_reduction,
            "border": positional.border,
            "center": positional.center,
            "object_class": crf.object_class,
            "from_logits": crf.from_logits,
            "reduction": self.reduction,
            "name": self.name,
            "dtype": self.dtype,
        }
