"""A whole training under one call: settings, run folder, scores, sweeps."""

from keras_wsseg.training.config import TrainingConfig
from keras_wsseg.training.evaluation import Scores, class_map, evaluate
from keras_wsseg.training.run_folder import RunFolder
from keras_wsseg.training.sweep import SweepRow, sweep
from keras_wsseg.training.train import train

__all__ = [
    "RunFolder",
    "Scores",
    "SweepRow",
    "TrainingConfig",
    "class_map",
    "evaluate",
    "sweep",
    "train",
]
