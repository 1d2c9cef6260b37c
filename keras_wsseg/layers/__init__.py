"""Layers that segmenters are built from."""

from keras_wsseg.layers.class_activation_map import ClassActivationMap
from keras_wsseg.layers.crf_preset import CRF_PRESETS, PUBLISHED_COUPLING, crf_preset
from keras_wsseg.layers.crop_to_stride import CropToStride
from keras_wsseg.layers.mean_field_crf import MeanFieldCRF
from keras_wsseg.layers.pad_to_multiple import PadToMultiple
from keras_wsseg.layers.pixel_label_estimator import PixelLabelEstimator
from keras_wsseg.layers.reliable_regions import ReliableRegions
from keras_wsseg.layers.resize_like import ResizeLike
from keras_wsseg.layers.resize_to import ResizeTo
from keras_wsseg.layers.standardize import IMAGENET_MEAN, IMAGENET_STD, Standardize
from keras_wsseg.layers.upsample_like import UpsampleLike

__all__ = [
    "CRF_PRESETS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PUBLISHED_COUPLING",
    "ClassActivationMap",
    "CropToStride",
    "MeanFieldCRF",
    "PadToMultiple",
    "PixelLabelEstimator",
    "ReliableRegions",
    "ResizeLike",
    "ResizeTo",
    "Standardize",
    "UpsampleLike",
    "crf_preset",
]
