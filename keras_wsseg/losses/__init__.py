"""Regularized losses as Keras classes; they can be added: `PartialCrossEntropy() + 0.5 * GatedCRFLoss()`."""

from keras_wsseg.kernels.gaussian_kernel import GaussianKernel
from keras_wsseg.losses.adaptive_prior import AdaptivePriorLoss
from keras_wsseg.losses.adm import ADMLoss
from keras_wsseg.losses.balanced_cross_entropy import BalancedCrossEntropy
from keras_wsseg.losses.dense_crf import DenseCRFLoss
from keras_wsseg.losses.dense_energy import DenseEnergyLoss
from keras_wsseg.losses.gated_crf import GatedCRFLoss
from keras_wsseg.losses.kernel_cut import KernelCutLoss
from keras_wsseg.losses.loss_sum import LossSum
from keras_wsseg.losses.negative import NegativeLoss
from keras_wsseg.losses.neighborhood import NeighborhoodLoss
from keras_wsseg.losses.normalized_cut import NormalizedCutLoss
from keras_wsseg.losses.partial_cross_entropy import PartialCrossEntropy
from keras_wsseg.losses.positional import PositionalLoss
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.losses.single_class import SingleClassLoss
from keras_wsseg.losses.sparse_crf import SparseCRFLoss
from keras_wsseg.losses.volumetric import VolumetricLoss

__all__ = [
    "ADMLoss",
    "AdaptivePriorLoss",
    "BalancedCrossEntropy",
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "GatedCRFLoss",
    "GaussianKernel",
    "KernelCutLoss",
    "LossSum",
    "NegativeLoss",
    "NeighborhoodLoss",
    "NormalizedCutLoss",
    "PartialCrossEntropy",
    "PositionalLoss",
    "SegmentationLoss",
    "SingleClassLoss",
    "SparseCRFLoss",
    "VolumetricLoss",
]
