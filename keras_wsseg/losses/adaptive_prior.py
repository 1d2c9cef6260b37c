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
    r"""Learns masks from tags: a net is trained towards its own prediction, corrected by what is there.

    Per image, the mean over the pixels inside it

    `L = -mean_j sum_l q_j(l) log p_j(l)`, `q_j(l) = p_j(l) beta_l / sum_l' p_j(l') beta_l'`

    over the classes that the tags name, 0 for the others, with the `beta` of `ops.adaptive_prior`: weights of
    the classes as even as can be that give the background and each object a least share of the image. No
    gradient flows through `q`. Then the mean over the images of the *global* batch. By itself it knows
    nothing of where an object ends: add `NeighborhoodLoss` for that.

    Predictions on a coarser grid than the labels' are taken as they are; a cell counts where all of it is
    inside the image.

    Args:
        weight: factor of the term.
        min_background_fraction: least share of the background, from 0 to 1.
        min_object_fraction: least share of each object, from 0 to 1. Where the shares of an image sum to more
            than 1 they are scaled down to 1.
        grid: see `PixelLabelEstimator`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: what `targets.pack` returns, with tags or without; without, the classes of the label map
            stand for them. Pixels outside the image (254) do not count, and an image without any other
            takes no part. `y_pred`: `(batch, h, w, classes)`.

    Raises:
        ValueError: if an argument is out of its range, or `y_pred` has no two classes.

    Example:
        >>> import numpy as np
        >>> labels = np.array([[[255, 1], [255, 255]]])  # there is something of class 1 in the image
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
        """The labels towards which a net is trained where it gives this prediction.

        Args:
            y_pred: `(batch, height, width, classes)`, logits or probabilities as of the loss.
            tags: `(batch, classes)`, 1 for the classes that are there, else 0.
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
