"""Segmentation scores against dense labels: streaming Keras metrics, and 3-D scores per patient."""

from keras_wsseg.metrics.confusion import ConfusionMetric
from keras_wsseg.metrics.dice import Dice
from keras_wsseg.metrics.f_beta import FBeta
from keras_wsseg.metrics.grouped import GroupedConfusion
from keras_wsseg.metrics.jaccard import Jaccard
from keras_wsseg.metrics.mean_iou import MeanIoU

__all__ = ["ConfusionMetric", "Dice", "FBeta", "GroupedConfusion", "Jaccard", "MeanIoU"]
