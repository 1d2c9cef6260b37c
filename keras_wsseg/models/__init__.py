"""Segmenters: functional Keras models from pictures to logits."""

from keras_wsseg.models.unet import UNet

__all__ = ["UNet"]
