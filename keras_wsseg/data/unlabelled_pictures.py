"""The pictures of a folder that are trained on without their annotation."""

import numpy as np

from keras_wsseg.annotations.labels import OUTSIDE, UNLABELLED
from keras_wsseg.data.segmentation_dataset import SegmentationDataset


class UnlabelledPictures(SegmentationDataset):
    """Pictures whose every pixel is unlabelled, for the losses that need no annotation.

    Args:
        like: the `SegmentationFolder` they belong to, whose classes and picture format they share.
        names: one name per picture.
        files: a picture's path and that of its annotation or None, for each. Of an annotation only
            254, which says what is not part of the picture, is left.
        read_image, read_labels: called with such a path, give the image and the label map.

    Example: see `SegmentationFolder`, whose attribute `unlabelled` is one.
    """

    def __init__(self, like, names, files, read_image, read_labels):
        self.num_classes, self.class_names = like.num_classes, like.class_names
        self.channels, self.dtype, self.value_range = like.channels, like.dtype, like.value_range
        self.names, self._files = tuple(names), list(files)
        self._read_image, self._read_labels = read_image, read_labels

    def load(self, index):
        """One picture and its blank label map; see `SegmentationDataset.load`."""
        image_file, label_file = self._files[index]
        image = self._read_image(image_file)
        if label_file is None:
            return image, np.full(image.shape[:2], UNLABELLED, np.uint8)
        return image, blank(self._read_labels(label_file))


def blank(labels):
    """The label map without its classes.

    Args:
        labels: uint8 array of any shape.

    Returns:
        uint8 array: 254 where `labels` has it, 255 elsewhere.

    Example:

    >>> blank(np.array([0, 3, 254, 255], np.uint8)).tolist()
    [255, 255, 254, 255]
    """
    return np.where(labels == OUTSIDE, np.uint8(OUTSIDE), np.uint8(UNLABELLED))
