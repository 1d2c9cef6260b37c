import dataclasses

from keras import ops

from keras_wsseg import targets
from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.losses.loss_grid import whole_cells
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.ops.backend import sum_over_replicas


class ObjectLoss(SegmentationLoss):
    """Base of the losses that use only whether an image contains the object.

    This is read from the labels. An image with at least one pixel that is unlabeled (255) or of the object's
    class is positive; an image with pixels of other classes only is negative. So entirely unlabeled images
    are positive, and images that are background everywhere are negative. An image of 254 everywhere is
    neither.

    Args:
        weight: lambda, the factor of the term.
        object_class: channel of the object in `y_pred`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Raises:
        ValueError: if an argument is out of range; when called, if `y_pred` has no channel `object_class`.
    """

    def __init__(
        self,
        weight=1.0,
        object_class=1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
    ):
        super().__init__(weight=weight, reduction=reduction, name=name, dtype=dtype)
        check_integer("object_class", object_class, low=0)
        self.object_class, self.from_logits = object_class, from_logits

    def _scene(self, y_true, y_pred):
        """The inputs of the losses, on the grid of the prediction."""
        if len(y_pred.shape) != 4 or not self.object_class < y_pred.shape[-1]:
            raise ValueError(
                "y_pred must be (batch, height, width, classes) with "
                f"object_class={self.object_class} among them. Received: shape {tuple(y_pred.shape)}"
            )
        seen = targets.read(y_true)
        labels = seen.labels
        x = (ops.softmax(y_pred, axis=-1) if self.from_logits else y_pred)[..., self.object_class]
        inside = labels != PADDING
        unlabeled = labels == UNLABELED
        may_hold = ops.any(ops.logical_or(unlabeled, labels == self.object_class), axis=(1, 2))
        known = ops.any(ops.logical_and(inside, ops.logical_not(unlabeled)), axis=(1, 2))
        height, width = ops.shape(x)[1:3]
        return _Scene(
            x,
            whole_cells(inside, height, width),
            ops.cast(may_hold, "float32"),
            ops.cast(ops.logical_and(known, ops.logical_not(may_hold)), "float32"),
            seen.guide,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "object_class": self.object_class,
            "from_logits": self.from_logits,
        }


@dataclasses.dataclass(frozen=True)
class _Scene:
    """Object probability, mask of the pixels inside, flags of positive and negative images, guide."""

    x: object
    inside: object
    positive: object
    negative: object
    guide: object


def chosen_mean(chosen, *values):
    """Means over the chosen images of the global batch, and weights that distribute a mean over the images.

    Args:
        chosen: `(batch,)` of 0 and 1.
        *values: `(batch,)` each.

    Returns:
        `(shares, count, means)`: shares `(batch,)`, with mean 1, or 0 if no image is chosen; the number of
        chosen images; the list of means, 0 if none is chosen.
    """
    sums = [ops.sum(chosen), ops.ones(()), *(ops.sum(chosen * value) for value in values)]
    count, replicas, *totals = sum_over_replicas(sums)
    # Keras averages over the images of a replica, then over the replicas, which may receive different numbers
    # of images in the last batch: the shares give each image equal weight nevertheless.
    shares = ops.divide_no_nan(chosen * (ops.sum(ops.ones_like(chosen)) * replicas), count)
    return shares, count, [ops.divide_no_nan(total, count) for total in totals]
