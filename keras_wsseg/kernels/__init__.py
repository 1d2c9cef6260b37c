"""What a kernel compares and how widely, in numbers that may change while a training runs."""

from keras_wsseg.kernels.annealable import Annealable
from keras_wsseg.kernels.gaussian_kernel import GaussianKernel

__all__ = ["Annealable", "GaussianKernel"]
