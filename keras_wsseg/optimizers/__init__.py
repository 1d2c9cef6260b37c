"""Optimizers around those of Keras."""

from keras_wsseg.optimizers.learning_rate_multipliers import LearningRateMultipliers

__all__ = ["LearningRateMultipliers"]
