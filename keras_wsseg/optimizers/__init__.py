"""Wrappers for Keras optimizers."""

from keras_wsseg.optimizers.learning_rate_multipliers import LearningRateMultipliers

__all__ = ["LearningRateMultipliers"]
