"""Folders and arrays of weakly labeled images as `tf.data` pipelines."""

from keras_wsseg.data.class_folders import ClassFolders
from keras_wsseg.data.segmentation_arrays import SegmentationArrays
from keras_wsseg.data.segmentation_dataset import SegmentationDataset
from keras_wsseg.data.segmentation_folder import SegmentationFolder
from keras_wsseg.data.single_class_folder import SingleClassFolder
from keras_wsseg.data.synthetic import synthetic_object, synthetic_shapes, synthetic_tags
from keras_wsseg.data.tag_folder import TagFolder

__all__ = [
    "ClassFolders",
    "SegmentationArrays",
    "SegmentationDataset",
    "SegmentationFolder",
    "SingleClassFolder",
    "TagFolder",
    "synthetic_object",
    "synthetic_shapes",
    "synthetic_tags",
]
