"""The equations: pure functions on tensors of any Keras backend."""

from keras_wsseg.ops.gated_crf import gated_crf_energy
from keras_wsseg.ops.local_gaussian import local_gaussian_filter
from keras_wsseg.ops.partial_cross_entropy import click_frequency_weights, partial_cross_entropy
from keras_wsseg.ops.resize import resize_area, resize_bilinear

__all__ = [
    "click_frequency_weights",
    "gated_crf_energy",
    "local_gaussian_filter",
    "partial_cross_entropy",
    "resize_area",
    "resize_bilinear",
]
