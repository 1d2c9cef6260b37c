"""Folders and arrays of weakly labelled pictures as `tf.data` pipelines."""

from keras_wsseg.data.segmentation_arrays import SegmentationArrays
from keras_wsseg.data.segmentation_dataset import SegmentationDataset
from keras_wsseg.data.segmentation_folder import SegmentationFolder
from keras_wsseg.data.synthetic import synthetic_shapes

__all__ = ["SegmentationArrays", "SegmentationDataset", "SegmentationFolder", "synthetic_shapes"]
