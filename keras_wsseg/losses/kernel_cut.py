import keras
from keras import ops

from keras_wsseg.losses.dense_regularizer import DenseRegularizer
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.dense_crf import crf_energy, cut_energy, masked_sums


@keras.saving.register_keras_serializable("keras_wsseg")
class KernelCutLoss(DenseRegularizer):
    r"""Kernel cut: combines the dense CRF (boundaries) and the normalized cut (balance) in one loss.

    `R = R_CRF(W) / sum_p (W 1)_p + cut_weight R_NC(W')`,

    `W` with the widths `sigma_rgb`, `sigma_xy` and `W'` with `cut_sigma_rgb`, `cut_sigma_xy`; see
    `DenseCRFLoss` and `NormalizedCutLoss` for the two energies. If no widths are given for the cut, it uses
    those of the CRF, and one filter pass serves both.

    Args:
        weight: lambda, the factor of the term; by default that of the dense CRF, since the cut adds little.
        cut_weight: factor of the normalized cut within the term, at least 0.
        sigma_rgb, sigma_xy: widths of the CRF's kernel, see `DenseCRFLoss`.
        cut_sigma_rgb, cut_sigma_xy: widths of the cut's kernel, in the same units. Give both or neither;
            None: those of the CRF.
        resolution, filter_method, landmarks, seed, from_logits: see `DenseCRFLoss`.
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        As for `DenseCRFLoss`.

    Raises:
        ValueError: if an argument is out of range, or `y_true` contains no image.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> y_true = targets.pack(np.full((1, 4, 4), 255), np.zeros((1, 4, 4, 3), "float32"))
        >>> undecided = np.zeros((1, 4, 4, 2), "float32")
        >>> round(float(KernelCutLoss(weight=1.0, cut_weight=0.5, resolution=1.0)(y_true, undecided)), 4)
        1.0

    Source: Tang et al. 2018, arXiv:1803.09569, equation 6; Tang et al. 2016, "Normalized cut meets MRF".
    """

    def __init__(
        self,
        weight=0.5,
        cut_weight=0.005,
        sigma_rgb=15 / 255,
        sigma_xy=100.0,
        cut_sigma_rgb=None,
        cut_sigma_xy=None,
        resolution=0.5,
        filter_method="auto",
        landmarks=256,
        seed=0,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="kernel_cut",
        dtype=None,
    ):
        if (cut_sigma_rgb is None) != (cut_sigma_xy is None):
            raise ValueError(
                "cut_sigma_rgb and cut_sigma_xy must both be given or both be None. "
                f"Received: cut_sigma_rgb={cut_sigma_rgb!r}, cut_sigma_xy={cut_sigma_xy!r}"
            )
        self.shared_kernel = cut_sigma_rgb is None
        numbers = {"cut_weight": cut_weight}
        if not self.shared_kernel:
            numbers.update(cut_sigma_rgb=cut_sigma_rgb, cut_sigma_xy=cut_sigma_xy)
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
            **numbers,
        )

    def __setattr__(self, name, value):
        if name.startswith("cut_sigma") and name not in self.__dict__.get("_annealed", {}):
            raise AttributeError(
                f"{name} can be set only if KernelCutLoss was created with cut_sigma_rgb and cut_sigma_xy. "
                f"Received: {name}={value!r}"
            )
        super().__setattr__(name, value)

    def energy(self, y_true, y_pred):
        labels, guide, height, width = self._grid(y_true)
        y = self._probabilities(y_pred, labels, height, width)
        mask = self._mask(labels, height, width)
        kernel = self._kernel(guide, labels, mask, height, width)
        sums = masked_sums(kernel, y, mask)
        energy, mass = crf_energy(kernel, y, mask, sums)
        if self.shared_kernel:
            cut = cut_energy(kernel, y, mask, sums)
        else:
            widths = self.tensor("cut_sigma_rgb"), self.tensor("cut_sigma_xy")
            cut = cut_energy(self._kernel(guide, labels, mask, height, width, *widths), y, mask)
        return ops.divide_no_nan(energy, mean_over_replicas(mass)) + self.tensor("cut_weight") * cut
