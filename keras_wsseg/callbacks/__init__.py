"""Callbacks of `model.fit`: warm-up, annealing, pictures."""

from keras_wsseg.callbacks.annealing import Annealing
from keras_wsseg.callbacks.prediction_pictures import PredictionPictures
from keras_wsseg.callbacks.single_class_stages import SingleClassStages
from keras_wsseg.callbacks.warm_up import WarmUp

__all__ = ["Annealing", "PredictionPictures", "SingleClassStages", "WarmUp"]
