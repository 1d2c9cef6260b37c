"""Callbacks for `model.fit`: warm-up, annealing, training stages, images, warnings."""

from keras_wsseg.callbacks.annealing_images import AnnealingImages
from keras_wsseg.callbacks.collapse_warning import CollapseWarning
from keras_wsseg.callbacks.parameter_scheduler import ParameterScheduler
from keras_wsseg.callbacks.prediction_images import PredictionImages
from keras_wsseg.callbacks.single_class_stages import SingleClassStages
from keras_wsseg.callbacks.tag_images import TagImages
from keras_wsseg.callbacks.warm_up import WarmUp

__all__ = [
    "AnnealingImages",
    "CollapseWarning",
    "ParameterScheduler",
    "PredictionImages",
    "SingleClassStages",
    "TagImages",
    "WarmUp",
]
