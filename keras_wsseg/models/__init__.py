"""Segmenters, functional models from images to logits, and the model that trains any of them weakly."""

from keras_wsseg.models.at_working_size import at_working_size
from keras_wsseg.models.copy_weights import copy_weights
from keras_wsseg.models.deeplab_v3_plus import DeepLabV3Plus
from keras_wsseg.models.encoder_unet import EncoderUNet
from keras_wsseg.models.reliable_region_mining import ReliableRegionMining
from keras_wsseg.models.trunk import trunk
from keras_wsseg.models.umobilenet_v2 import UMobileNetV2
from keras_wsseg.models.unet import UNet
from keras_wsseg.models.vgg16_skip import VGG16Skip
from keras_wsseg.models.weakly_supervised import WeaklySupervisedModel

__all__ = [
    "DeepLabV3Plus",
    "EncoderUNet",
    "ReliableRegionMining",
    "UMobileNetV2",
    "UNet",
    "VGG16Skip",
    "WeaklySupervisedModel",
    "at_working_size",
    "copy_weights",
    "trunk",
]
