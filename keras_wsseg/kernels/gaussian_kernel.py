import keras
from keras import ops

from keras_wsseg.arguments import check_number
from keras_wsseg.kernels.annealable import Annealable

_PREFIX = "sigma_"

SMALLEST_SIGMA = 1e-4
"""A kernel must be wide compared with float32's resolution for colors in [0, 1], 6e-8."""


@keras.saving.register_keras_serializable("keras_wsseg")
class GaussianKernel(Annealable):
    r"""Similarity of two pixels: a Gaussian of their distance and of their difference in each modality.

    `w exp(-|Dxy|^2 / 2 sigma_xy^2 - |Drgb|^2 / 2 sigma_rgb^2 - ...)`. Every argument is an attribute that
    `callbacks.ParameterScheduler` may change during training.

    Args:
        weight: `w`, at least 0.
        sigma_xy: width in position, in pixels of the image, whatever the grid on which a loss is computed.
            None: position is ignored within the window.
        sigma_rgb: width in color, in units of an image in [0, 1] (also for gray images). None: color is
            ignored.
        **sigmas: width for each further input of the model, such as `sigma_depth=0.05`, in the units of that
            modality in the guide.

    Raises:
        TypeError: if an argument is neither the weight nor a sigma.
        ValueError: if no sigma is given, or any is below 1e-4.

    Example:
        >>> kernel = GaussianKernel(sigma_xy=6, sigma_rgb=0.03)
        >>> kernel.sigma_rgb = 0.05
        >>> round(kernel.sigma_rgb, 3)
        0.05

    Source: Obukhov et al. 2019, arXiv:1906.04651, equation 2. The published code divides standardized
    images by its sigma of 0.1, which is about 0.0225 to 0.027 here.
    """

    def __init__(self, weight=1.0, sigma_xy=None, sigma_rgb=None, **sigmas):
        unknown = next((name for name in sigmas if not name.startswith(_PREFIX)), None)
        if unknown is not None:
            raise TypeError(
                "GaussianKernel takes weight and one sigma per modality, such as sigma_depth. "
                f"Received: {unknown}={sigmas[unknown]!r}"
            )
        sigmas = {"sigma_xy": sigma_xy, "sigma_rgb": sigma_rgb, **sigmas}
        sigmas = {name: sigma for name, sigma in sigmas.items() if sigma is not None}
        if not sigmas:
            raise ValueError(
                "GaussianKernel requires at least one of sigma_xy, sigma_rgb or a sigma of another modality."
            )
        self._declare(weight=weight, **sigmas)

    def _check(self, name, value):
        if name != "weight":
            check_number(name, value, low=SMALLEST_SIGMA)
        return super()._check(name, value)

    @property
    def modalities(self):
        """Names of the modalities that the kernel compares, including `xy` for position."""
        return tuple(name.removeprefix(_PREFIX) for name in self.annealable if name != "weight")

    def sigma(self, modality):
        """The current width for one of `modalities`, as a tensor."""
        return self.tensor(_PREFIX + modality)

    def features(self, guide, positions):
        """The kernel's features on a grid: each modality divided by its sigma.

        Args:
            guide: dict from modality to `(batch, height, width, channels)`, float32, on the loss's grid.
            positions: `(batch, height, width, 2)`, the positions of its cells in pixels of the image.

        Returns:
            `(batch, height, width, features)`, float32.

        Raises:
            ValueError: if the guide lacks a modality.
        """
        parts = [
            (positions if name == "xy" else of_guide(guide, name)) / self.sigma(name)
            for name in self.modalities
        ]
        return ops.concatenate(parts, axis=-1)

    def get_config(self):
        return dict(self._declared)

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        return f"GaussianKernel({', '.join(f'{name}={value:g}' for name, value in self._declared.items())})"


def of_guide(guide, name):
    """A modality of the guide; raises a `ValueError` that tells how to supply it if it is missing."""
    if name not in guide:
        raise ValueError(
            f"the kernel compares {name!r}, so y_true must contain it: train with WeaklySupervisedModel or "
            f"pack the guide with keras_wsseg.targets.pack. Received: {sorted(guide) or 'labels only'}"
        )
    return guide[name]


def as_kernels(kernels):
    """A list of kernels from one kernel, several, or their serialized configurations."""
    kernels = [kernels] if isinstance(kernels, GaussianKernel) else list(kernels)
    kernels = [keras.saving.deserialize_keras_object(k) if isinstance(k, dict) else k for k in kernels]
    if not kernels or not all(isinstance(kernel, GaussianKernel) for kernel in kernels):
        raise ValueError(
            "kernels must be a GaussianKernel or a non-empty list of GaussianKernel. "
            f"Received: kernels={kernels!r}"
        )
    return kernels
