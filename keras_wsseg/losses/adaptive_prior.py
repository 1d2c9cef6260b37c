import keras
from keras import ops

from keras_wsseg import targets
from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.labels import PADDING
from keras_wsseg.losses.loss_grid import whole_cells
from keras_wsseg.losses.object_loss import chosen_mean
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.ops.adaptive_prior import adaptive_prior, check_prior, estimated_labels, logits_among_tags


@keras.saving.register_keras_serializable("keras_wsseg")
class AdaptivePriorLoss(SegmentationLoss):
    r"""Learns masks from image-level tags: the target is the network's own prediction, corrected by the tags.

    For each image, the mean over its valid pixels

    `L = -mean_j sum_l q_j(l) log p_j(l)`, `q_j(l) = p_j(l) beta_l / sum_l' p_j(l') beta_l'`

    over the tagged classes, with `q = 0` for all others and `beta` from `ops.adaptive_prior`: the most even
    class weights that give the background and each object a minimum share of the image. No gradient flows
    through `q`. The loss is the mean over the images of the *global* batch. It has no notion of object
    boundaries: add `NeighborhoodLoss` for that.

    Predictions on a coarser grid than the labels are used at that resolution; a cell counts only if it lies
    entirely inside the image.

    Args:
        weight: factor of the term.
        min_background_fraction: minimum share of the background, from 0 to 1.
        min_object_fraction: minimum share of each object, from 0 to 1. If the shares of an image sum to more
            than 1, they are scaled down to sum to 1.
        grid: see `PixelLabelEstimator`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: what `targets.pack` returns, with or without tags; without them, the classes in the label
            map serve as tags. Pixels outside the image (254) are ignored, as is an image that has no other
            pixels. `y_pred`: `(batch, h, w, classes)`.

    Raises:
        ValueError: if an argument is out of range, or `y_pred` has fewer than two classes.

    Example:
        >>> import numpy as np
        >>> labels = np.array([[[255, 1], [255, 255]]])  # the image contains class 1
        >>> round(float(AdaptivePriorLoss()(labels, np.zeros((1, 2, 2, 3)))), 4)  # log 3
        1.0986

    Source: Pandey & Dukkipati 2017, arXiv:1705.01262.
    """

    def __init__(
        self,
        weight=1.0,
        min_background_fraction=0.4,
        min_object_fraction=0.2,
        grid=99,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="adaptive_prior",
        dtype=None,
    ):
        super().__init__(weight=weight, reduction=reduction, name=name, dtype=dtype)
        for argument, value in (
            ("min_background_fraction", min_background_fraction),
            ("min_object_fraction", min_object_fraction),
        ):
            check_number(argument, value, low=0, high=1)
        check_prior((min_background_fraction, min_object_fraction), grid)
        self.min_background_fraction, self.min_object_fraction = min_background_fraction, min_object_fraction
        self.grid, self.from_logits = grid, from_logits

    def energy(self, y_true, y_pred):
        if len(y_pred.shape) != 4:
            raise ValueError(
                f"y_pred must be (batch, height, width, classes). Received: shape {tuple(y_pred.shape)}"
            )
        height, width, classes = ops.shape(y_pred)[1:]
        seen = targets.read(y_true)
        inside = whole_cells(seen.labels != PADDING, height, width)
        q = self.estimate(y_pred, seen.present(classes), inside)
        log_p = ops.log_softmax(y_pred) if self.from_logits else ops.log(ops.clip(y_pred, 1e-7, 1.0))
        count = ops.sum(inside, axis=(1, 2))
        total = -ops.sum(inside * ops.sum(q * log_p, axis=-1), axis=(1, 2))
        shares, _, _ = chosen_mean(ops.cast(count > 0, "float32"))
        return shares * ops.divide_no_nan(total, count)

    def estimate(self, y_pred, tags, inside=None):
        """The soft labels used as the training target for this prediction.

        Args:
            y_pred: `(batch, height, width, classes)`, logits or probabilities, as for the loss.
            tags: `(batch, classes)`, 1 for the classes that are present, else 0.
            inside: None, or `(batch, height, width)`, 1 inside the image, else 0.

        Returns:
            `q`, `(batch, height, width, classes)`, float32, through which no gradient flows.
        """
        height, width, classes = ops.shape(y_pred)[1:]
        p = ops.cast(ops.reshape(ops.stop_gradient(y_pred), (-1, height * width, classes)), "float32")
        if self.from_logits:
            p = logits_among_tags(p, tags)
        if inside is not None:
            inside = ops.reshape(ops.cast(inside, "float32"), (-1, height * width))
        fractions = (self.min_background_fraction, self.min_object_fraction)
        q = estimated_labels(p, tags, adaptive_prior(p, tags, fractions, inside, self.grid))
        return ops.reshape(q, (-1, height, width, classes))

    def get_config(self):
        return {
            **super().get_config(),
            "min_background_fraction": self.min_background_fraction,
            "min_object_fraction": self.min_object_fraction,
            "grid": self.grid,
            "from_logits": self.from_logits,
        }
