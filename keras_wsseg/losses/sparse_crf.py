import keras
from keras import ops

from keras_wsseg.arguments import check_number
from keras_wsseg.losses.object_loss import ObjectLoss, chosen_mean
from keras_wsseg.ops.resize import resize_area
from keras_wsseg.ops.sparse_crf import sparse_crf_energy


@keras.saving.register_keras_serializable("keras_wsseg")
class SparseCRFLoss(ObjectLoss):
    r"""Sparse CRF: encourages object boundaries that are short and follow changes of color.

    With priors on size and position (`VolumetricLoss`, `PositionalLoss`) it segments the object in unlabeled
    images; `SingleClassLoss` combines them. It is the cheapest regularizer here: one difference per pixel and
    direction.

    `L = 1/2 sum_direction mean_{(p, q)} w_pq |x_p - x_q|`, `w_pq = exp(-|C_p - C_q|^2 / 2 sigma_rgb^2)`

    over 4-neighbors p, q, where x is the object's probability and C the color. It is computed per image and
    averaged over the positive images of the batch (see `object_class`).

    Args:
        weight: lambda, the factor of the term; published: 1 while annealing, then 100.
        sigma_rgb: kernel width in color, for an image in [0, 1]; can be annealed. The difference is summed
            over all channels, so a one-channel gray image has smaller differences than the same image with
            three channels.
        object_class: channel of the object in `y_pred`. Images whose labels show that the object is absent
            (every pixel inside the image has another class) are ignored.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: what `targets.pack` returns, `(batch, height, width, 1 + guide)`. `y_pred`:
        `(batch, h, w, classes)`; the image and the mask of valid pixels are resized to its grid by area
        averaging.

    Raises:
        ValueError: if an argument is out of range, or `y_true` contains no image.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> image = np.zeros((1, 4, 4, 3), "float32")
        >>> image[:, :, 2:] = 1  # black on the left, white on the right
        >>> along = np.where(image[..., :1] > 0, [-9.0, 9.0], [9.0, -9.0])
        >>> across = np.moveaxis(along, 1, 2)
        >>> y_true = targets.pack(np.full((1, 4, 4), 255), image)
        >>> [round(float(SparseCRFLoss()(y_true, y)), 3) for y in (along, across)]
        [0.0, 0.167]

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation",
    ECCV 2020, the sparse CRF. Departure from the paper, as in the published code: the mean over pairs instead
    of the sum, with the vertical and horizontal means averaged.
    """

    def __init__(
        self,
        weight=1.0,
        sigma_rgb=0.15,
        object_class=1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="sparse_crf",
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
        self._declare(weight=weight, sigma_rgb=sigma_rgb)

    def _check(self, name, value):
        if name == "sigma_rgb":
            check_number(name, value, above=0)
        return super()._check(name, value)

    def energy(self, y_true, y_pred):
        scene = self._scene(y_true, y_pred)
        guide = scene.guide.get("rgb")
        if guide is None:
            raise ValueError(
                "y_true must contain the image: train with WeaklySupervisedModel or pack the guide with "
                "keras_wsseg.targets.pack. Received: no modality 'rgb'"
            )
        guide = resize_area(guide, ops.shape(scene.x)[1:3])
        shares, _, _ = chosen_mean(scene.positive)
        return shares * sparse_crf_energy(scene.x, guide, self.tensor("sigma_rgb"), scene.inside)
