import keras
from keras import ops

from keras_wsseg.losses.dense_regularizer import DenseRegularizer
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.dense_energy import dense_energy

NORMALIZATIONS = ("kernel_mass", "none")


@keras.saving.register_keras_serializable("keras_wsseg")
class DenseEnergyLoss(DenseRegularizer):
    r"""Dense energy: encourages uncertain pixels to take the label of pixels that look like them.

    Unlike `DenseCRFLoss` it has a gate: a labeled pixel with a confident prediction receives hardly any
    energy, so a few reliable labels spread to their surroundings rather than being smoothed away. The energy
    of an image is

    `E = sum_i S_i sum_{j != i} G_ij sum_c P_i(c) (1 - P_j(c))`,
    `G_ij = exp(-|Dxy|^2 / 2 sigma_xy^2 - |Drgb|^2 / 2 sigma_rgb^2)`,

    `S_i = 1 - max_c P_i(c)` where pixel i is labeled and 1 elsewhere. No gradient flows through `S`.

    Where the loss's grid is coarser than the labels, a cell counts as labeled in proportion to its labeled
    pixels: `S = 1 - share max_c P(c)`, with `share` the fraction of its pixels whose label is a class.

    Args:
        weight: lambda, the factor of the term. The published 1e-7 corresponds to 1.2 to 7.1, 3.3 on average,
            on PASCAL VOC photographs cropped to 321 x 321; `DenseCRFLoss.published_weight` computes it for
            other images.
        sigma_rgb: width of the kernel in color, in units of an image in [0, 1].
        sigma_xy: width of the kernel in pixels of the full image, whatever `resolution`. The paper prints 15
            for the position and 100 for the color; its code agrees with the values here, 15 of 255 for the
            color and 100 pixels for the position, as in `DenseCRFLoss`.
        resolution: size of the loss's grid relative to the image.
        normalization: `"kernel_mass"` divides by `sum_i sum_{j != i} G_ij`, with the sums over the batch, for
            an energy within [0, 1], so that one weight suits every resolution; `"none"` is the raw energy,
            averaged over images as in the published code, whose weight of 1e-7 applies to it.
        filter_method, landmarks, seed: how the sums over all pixels are computed, see
            `ops.dense_gaussian_kernel`.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As for `DenseCRFLoss`. Pixels outside the image (label 254) are ignored.

    Raises:
        ValueError: if an argument is out of range, or `y_true` contains no image.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> image, undecided = np.zeros((1, 4, 4, 3), "float32"), np.zeros((1, 4, 4, 2), "float32")
        >>> loss = DenseEnergyLoss(weight=1.0, resolution=1.0)
        >>> unlabeled, labeled = (np.full((1, 4, 4), label) for label in (255, 0))
        >>> [round(float(loss(targets.pack(y, image), undecided)), 4) for y in (unlabeled, labeled)]
        [0.5, 0.25]

    Source: Zhang et al. 2020, "Reliability Does Matter", arXiv:1911.08039, the dense energy loss. The
    gradient is exact; that of the published code, `-2 S_i (G P)_i` with `j = i` included, is not the gradient
    of any energy where the gate differs between pixels. Its value is
    `-sum_i S_i sum_j G_ij sum_c P_i(c) P_j(c)`.
    """

    def __init__(
        self,
        weight=3.0,
        sigma_rgb=15 / 255,
        sigma_xy=100.0,
        resolution=0.5,
        normalization="kernel_mass",
        filter_method="auto",
        landmarks=256,
        seed=0,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="dense_energy",
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
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"normalization must be one of {NORMALIZATIONS}. Received: normalization={normalization!r}"
            )
        self.normalization = normalization

    def energy(self, y_true, y_pred):
        labels, guide, height, width = self._grid(y_true)
        y = self._probabilities(y_pred, labels, height, width)
        mask = self._mask(labels, height, width)
        kernel = self._kernel(guide, labels, mask, height, width)
        energy, mass = dense_energy(kernel, y, self._gate(labels, y, height, width), mask)
        return energy if self.normalization == "none" else ops.divide_no_nan(energy, mean_over_replicas(mass))

    def _gate(self, labels, y, height, width):
        """S, `(batch, pixels, 1)`: the factor of the energy that each cell receives."""
        is_class = ops.logical_and(labels >= 0, labels < y.shape[-1])
        share = self._averaged(ops.cast(is_class, "float32")[..., None], height, width)
        share = ops.reshape(share, (-1, height * width, 1))
        return 1.0 - share * ops.max(y, axis=-1, keepdims=True)

    def get_config(self):
        return {**super().get_config(), "normalization": self.normalization}
