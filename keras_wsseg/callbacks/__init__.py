"""Callbacks of `model.fit`: warm-up, annealing, stages, pictures, warnings."""

from keras_wsseg.callbacks.annealing import Annealing
from keras_wsseg.callbacks.annealing_pictures import AnnealingPictures
from keras_wsseg.callbacks.collapse_warning import CollapseWarning
from keras_wsseg.callbacks.prediction_pictures import PredictionPictures
from keras_wsseg.callbacks.single_class_stages import SingleClassStages
from keras_wsseg.callbacks.tag_pictures import TagPictures
from keras_wsseg.callbacks.warm_up import WarmUp

__all__ = [
    "Annealing",
    "AnnealingPictures",
    "CollapseWarning",
    "PredictionPictures",
    "SingleClassStages",
    "TagPictures",
    "WarmUp",
]
