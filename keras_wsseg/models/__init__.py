"""Segmenters (functional models from images to logits) and models that train them with weak supervision."""

from keras_wsseg.models.copy_weights import copy_weights
from keras_wsseg.models.deeplab_v3_plus import DeepLabV3Plus
from keras_wsseg.models.encoder_unet import EncoderUNet
from keras_wsseg.models.feature_extractor import feature_extractor
from keras_wsseg.models.reliable_region_mining import ReliableRegionMining
from keras_wsseg.models.umobilenet_v2 import UMobileNetV2
from keras_wsseg.models.unet import UNet
from keras_wsseg.models.vgg16_skip import VGG16Skip
from keras_wsseg.models.weakly_supervised import WeaklySupervisedModel
from keras_wsseg.models.with_input_size import with_input_size

__all__ = [
    "DeepLabV3Plus",
    "EncoderUNet",
    "ReliableRegionMining",
    "UMobileNetV2",
    "UNet",
    "VGG16Skip",
    "WeaklySupervisedModel",
    "copy_weights",
    "feature_extractor",
    "with_input_size",
]
