import keras
from keras import ops

from keras_wsseg.losses.dense_regularizer import DenseRegularizer
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.dense_crf import crf_energy


@keras.saving.register_keras_serializable("keras_wsseg")
class DenseCRFLoss(DenseRegularizer):
    r"""Dense CRF: encourages pixels that look alike to share a label, over all pairs of pixels of an image.

    It propagates scribbles to the rest of each object. The energy of an image is

    `R = sum_k S_k^T W (1 - S_k)`, `W_pq = exp(-|Dxy|^2 / 2 sigma_xy^2 - |Drgb|^2 / 2 sigma_rgb^2)`

    over all ordered pairs of pixels, including `W_pp = 1`; the loss is `R / sum_p (W 1)_p`, with both sums
    over the batch. It lies within [0, 1], so that one weight suits every resolution and batch. (If
    `filter_method` is not exact, the sums are approximate and the bounds hold to that accuracy.)

    Published weights apply to the raw sum; `published_weight` converts them.

    Args:
        weight: lambda, the factor of the term. Large values merge classes that a network trained from scratch
            has barely learned, while on the heart images, whose classes are learned early, 2 scored higher
            than the default (see docs/defaults.md). The published 2e-9 corresponds to 0.1 to 0.5 on PASCAL
            VOC photographs.
        sigma_rgb: width of the kernel in color, in units of an image in [0, 1]; published: 15 / 255.
        sigma_xy: width of the kernel in pixels of the full image, whatever `resolution`; published: 100, for
            images of 513 pixels.
        resolution: size of the loss's grid relative to the image. The paper uses full resolution, 1; a
            quarter of the pixels takes a quarter of the time or less.
        filter_method, landmarks, seed: how the sums over all pixels are computed, see
            `ops.dense_gaussian_kernel`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: what `targets.pack` returns, `(batch, height, width, 1 + guide)`. `y_pred`:
        `(batch, h, w, classes)`; a coarser prediction is resized bilinearly to the image's size. Pixels
        outside the image (label 254) are ignored.

    Raises:
        ValueError: if an argument is out of range, or `y_true` contains no image.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> y_true = targets.pack(np.full((1, 4, 4), 255), np.zeros((1, 4, 4, 3), "float32"))
        >>> undecided = np.zeros((1, 4, 4, 2), "float32")
        >>> round(float(DenseCRFLoss(weight=1.0, resolution=1.0)(y_true, undecided)), 4)
        0.5

    Source: Tang et al. 2018, arXiv:1803.09569, equations 4 and 11. The published code's value is
    `-sum_k S_k^T W S_k`, negative and not normalized; it resizes the image by nearest neighbor and the
    probabilities bilinearly, which misaligns them by half a pixel; this is not reproduced here.
    """

    def __init__(
        self,
        weight=0.5,
        sigma_rgb=15 / 255,
        sigma_xy=100.0,
        resolution=0.5,
        filter_method="auto",
        landmarks=256,
        seed=0,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="dense_crf",
        dtype=None,
    ):
        super().__init__(
            weight=weight,
            sigma_rgb=sigma_rgb,
            sigma_xy=sigma_xy,
            resolution=resolution,
            filter_method=filter_method,
            landmarks=landmarks,
            seed=seed,
            from_logits=from_logits,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

    def energy(self, y_true, y_pred):
        labels, guide, height, width = self._grid(y_true)
        y = self._probabilities(y_pred, labels, height, width)
        mask = self._mask(labels, height, width)
        energy, mass = crf_energy(self._kernel(guide, labels, mask, height, width), y, mask)
        return ops.divide_no_nan(energy, mean_over_replicas(mass))

    def published_weight(self, y_true, published=2e-9):
        """Converts a weight on the raw energy, averaged over the batch: multiplies it by the kernel mass.

        The mass is computed from the given images, with this loss's widths and grid. It varies several-fold
        between images, so pass a representative sample at the training size.

        Args:
            y_true: what `targets.pack` returns for the images; of the labels, only 254 matters.
            published: 2e-9 in the public PyTorch code (batches of 12 at 513 x 513, mean over images). In
                Caffe, whose losses are not averaged over the batch, 1e-8 times the number of images.

        Returns:
            The `weight` that gives the same gradient, a float.
        """
        labels, guide, height, width = self._grid(y_true)
        mask = self._mask(labels, height, width)
        _, mass = crf_energy(self._kernel(guide, labels, mask, height, width), mask, mask)
        return published * float(ops.mean(mass))
