from keras import ops

from keras_wsseg import targets
from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.labels import PADDING
from keras_wsseg.kernels.gaussian_kernel import SMALLEST_SIGMA
from keras_wsseg.losses.loss_grid import grid_size, image_positions, whole_cells
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.ops.dense_gaussian import check_dense, dense_gaussian_kernel
from keras_wsseg.ops.resize import resize_area, resize_bilinear


class DenseRegularizer(SegmentationLoss):
    """Base of the losses whose Gaussian kernel of position and color connects all pixels of an image.

    `W_pq = exp(-|Dxy|^2 / 2 sigma_xy^2 - |Drgb|^2 / 2 sigma_rgb^2)`.

    The loss is computed on a grid of `resolution` times the image's size: predictions on a coarser grid are
    first resized to the image's size, logits as logits, then probabilities, image and mask are resized by
    area averaging. A cell counts only if none of its pixels lies outside the image (label 254).

    Args:
        weight: factor of the term.
        sigma_rgb: width of the kernel in color, in units of an image in [0, 1], at least 1e-4.
        sigma_xy: width of the kernel in pixels of the full image, whatever `resolution`, at least 1e-4.
        resolution: size of the loss's grid relative to the image, in (0, 1].
        filter_method, landmarks, seed: how the sums over all pixels are computed, see
            `ops.dense_gaussian_kernel`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.
        **numbers: further annealable hyperparameters of a subclass.
    """

    def __init__(
        self,
        weight,
        sigma_rgb,
        sigma_xy,
        resolution,
        filter_method,
        landmarks,
        seed,
        from_logits,
        reduction,
        name,
        dtype,
        **numbers,
    ):
        super().__init__(weight=weight, reduction=reduction, name=name, dtype=dtype)
        check_number("resolution", resolution, above=0, high=1)
        check_dense(filter_method, landmarks, seed)
        self._declare(weight=weight, sigma_rgb=sigma_rgb, sigma_xy=sigma_xy, **numbers)
        self.resolution = resolution
        self.filter_method = filter_method
        self.landmarks = landmarks
        self.seed = seed
        self.from_logits = from_logits

    def _check(self, name, value):
        if "sigma" in name:
            check_number(name, value, low=SMALLEST_SIGMA)
        return super()._check(name, value)

    def _grid(self, y_true):
        """Returns labels, guide by modality, and height and width of the loss's grid."""
        seen = targets.read(y_true)
        return seen.labels, seen.guide, *grid_size(seen.labels, self.resolution)

    def _probabilities(self, y_pred, labels, height, width):
        """`(batch, pixels, classes)`, float32, on the loss's grid."""
        y, full = y_pred, tuple(labels.shape[1:])
        if None in full or tuple(y.shape[1:3]) != full:
            y = resize_bilinear(y, ops.shape(labels)[1:3])
        if self.from_logits:
            y = ops.softmax(y, axis=-1)
        return _flat(self._averaged(y, height, width))

    def _averaged(self, images, height, width):
        return images if self.resolution == 1 else resize_area(images, (height, width))

    def _mask(self, labels, height, width):
        """`(batch, pixels, 1)`, 1 where the cell lies entirely inside the image."""
        return _flat(whole_cells(labels != PADDING, height, width)[..., None])

    def _kernel(self, guide, labels, mask, height, width, sigma_rgb=None, sigma_xy=None):
        """The kernel operator over all pixels of the grid, with this loss's widths by default."""
        if "rgb" not in guide:
            raise ValueError(
                "the kernel compares colors, so y_true must contain the image: train with "
                "WeaklySupervisedModel or pack the guide with keras_wsseg.targets.pack. "
                f"Received: {sorted(guide) or 'labels only'}"
            )
        sigma_rgb = self.tensor("sigma_rgb") if sigma_rgb is None else sigma_rgb
        sigma_xy = self.tensor("sigma_xy") if sigma_xy is None else sigma_xy
        colors = self._averaged(guide["rgb"], height, width) / sigma_rgb
        positions = image_positions(labels, height, width) / sigma_xy
        features = _flat(ops.concatenate([positions, colors], axis=-1))
        return dense_gaussian_kernel(features, self.filter_method, self.landmarks, self.seed, mask[..., 0])

    def get_config(self):
        return {
            **super().get_config(),
            "resolution": self.resolution,
            "filter_method": self.filter_method,
            "landmarks": self.landmarks,
            "seed": self.seed,
            "from_logits": self.from_logits,
        }


def _flat(images):
    batch, height, width = ops.shape(images)[:3]
    return ops.reshape(images, (batch, height * width, images.shape[-1]))
