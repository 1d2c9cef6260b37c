"""Kernels: which features are compared and with what widths, annealable during training."""

from keras_wsseg.kernels.annealable import Annealable
from keras_wsseg.kernels.gaussian_kernel import GaussianKernel

__all__ = ["Annealable", "GaussianKernel"]
