"""Images with the same label at every pixel."""

import numpy as np

from keras_wsseg.data.segmentation_dataset import SegmentationDataset
from keras_wsseg.imaging.labels import PADDING


class ConstantLabelImages(SegmentationDataset):
    """Images whose pixels are all unlabeled, or all of one class.

    With 255 they are unlabeled, for losses that need no annotation; with 0 they contain no object.

    Args:
        class_names: names of the classes.
        image_format: the `ImageFormat` in which they are read.
        names: one name per image.
        files: for each image its path and that of its annotation or None. Of an annotation only 254, outside
            the image, is kept.
        value: the label of all other pixels.
        read_labels: function from the path of an annotation to its label map; None if there are none.

    Example: see `SegmentationFolder`, whose attribute `unlabeled` is one.
    """

    def __init__(self, class_names, image_format, names, files, value, read_labels=None):
        self.num_classes, self.class_names = len(class_names), tuple(class_names)
        self.channels, self.dtype, self.value_range = image_format
        self.names = tuple(names)
        self._format, self._files, self._value = image_format, list(files), value
        self._read_labels = read_labels

    def load(self, index):
        """Loads an image and its constant label map; see `SegmentationDataset.load`."""
        image_file, label_file = self._files[index]
        image = self._format.read(image_file)
        if label_file is None:
            return image, np.full(image.shape[:2], self._value, np.uint8)
        return image, fill(self._read_labels(label_file), self._value)


def fill(labels, value):
    """Replaces all labels except those outside the image by one value.

    Args:
        labels: uint8 array of any shape.
        value: from 0 to 255.

    Returns:
        uint8 array: 254 where `labels` has it, `value` elsewhere.

    Example:

    >>> fill(np.array([0, 3, 254, 255], np.uint8), 255).tolist()
    [255, 255, 254, 255]
    """
    return np.where(labels == PADDING, np.uint8(PADDING), np.uint8(value))
