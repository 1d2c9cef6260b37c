"""Segmenters, functional models from pictures to logits, and the model that trains any of them weakly."""

from keras_wsseg.models.deeplab_v3_plus import DeepLabV3Plus
from keras_wsseg.models.unet import UNet
from keras_wsseg.models.weakly_supervised import WeaklySupervisedModel

__all__ = ["DeepLabV3Plus", "UNet", "WeaklySupervisedModel"]
