"""The equations: pure functions on tensors of any Keras backend."""

from keras_wsseg.ops.gated_crf import gated_crf_energy
from keras_wsseg.ops.local_gaussian import local_gaussian_filter

__all__ = ["gated_crf_energy", "local_gaussian_filter"]
