"""The equations as pure functions on tensors of any Keras backend."""

from keras_wsseg.ops.adaptive_prior import adaptive_prior, estimated_labels
from keras_wsseg.ops.class_activation import class_activation_maps
from keras_wsseg.ops.dense_crf import dense_crf_energy, normalized_cut_energy
from keras_wsseg.ops.dense_energy import dense_energy
from keras_wsseg.ops.dense_gaussian import dense_gaussian_filter, dense_gaussian_kernel
from keras_wsseg.ops.gated_crf import gated_crf_energy
from keras_wsseg.ops.local_gaussian import local_gaussian_filter
from keras_wsseg.ops.mean_field import mean_field
from keras_wsseg.ops.neighborhood import neighborhood_distribution
from keras_wsseg.ops.object_priors import (
    object_fraction,
    positional_energy,
    smallness_energy,
    volumetric_energy,
)
from keras_wsseg.ops.partial_cross_entropy import click_frequency_weights, partial_cross_entropy
from keras_wsseg.ops.reliable_regions import agreeing_labels, confident_labels
from keras_wsseg.ops.resize import resize_antialiased, resize_area, resize_bilinear
from keras_wsseg.ops.sparse_crf import neighbor_weights, sparse_crf_energy

__all__ = [
    "adaptive_prior",
    "agreeing_labels",
    "class_activation_maps",
    "click_frequency_weights",
    "confident_labels",
    "dense_crf_energy",
    "dense_energy",
    "dense_gaussian_filter",
    "dense_gaussian_kernel",
    "estimated_labels",
    "gated_crf_energy",
    "local_gaussian_filter",
    "mean_field",
    "neighbor_weights",
    "neighborhood_distribution",
    "normalized_cut_energy",
    "object_fraction",
    "partial_cross_entropy",
    "positional_energy",
    "resize_antialiased",
    "resize_area",
    "resize_bilinear",
    "smallness_energy",
    "sparse_crf_energy",
    "volumetric_energy",
]
