"""Images in memory."""

import numpy as np

from keras_wsseg.annotations import PADDING, UNLABELED, check_label_map
from keras_wsseg.arguments import check_value_range
from keras_wsseg.data.arguments import resolve_classes
from keras_wsseg.data.segmentation_dataset import SegmentationDataset
from keras_wsseg.imaging.value_fit import VALUE_RANGES


class SegmentationArrays(SegmentationDataset):
    """Images and label maps in memory, with the pipelines of `SegmentationDataset`.

    Use it for generated images, or for formats that you read yourself. Labels may be omitted if there are
    tags, which state the classes of an image but not where they are.

    Args:
        images: sequence of arrays `(height, width)` or `(height, width, channels)` of one type: uint8,
            uint16 or floating point; sizes may differ.
        labels: sequence of integer arrays `(height, width)`; 255 unlabeled, 254 outside the image. None, with
            `tags`: every pixel is unlabeled.
        num_classes: number of classes; by default that of `class_names`, else of `tags`, else the largest id
            plus one.
        class_names: names of the classes; by default their numbers.
        value_range: lowest and highest value; by default that of the integer type, required for floats.
        names: one name per image; by default their numbers.
        unlabeled: further images, of the same type and channels, without label maps: `train` mixes them into
            its batches, for losses that need no annotation. None for none.
        negatives: further images, likewise, known to be background (class 0) everywhere.
        tags: None, or which classes each image contains, `(images, num_classes)` of 0 and 1 or booleans,
            column 0, the background, always 1. Labels may contain further classes: specks need no tag.

    Raises:
        TypeError, ValueError: shapes, types or values do not fit; the error names the image.

    Example:

    >>> images = np.zeros((3, 8, 8, 3), np.uint8)
    >>> labels = np.zeros((3, 8, 8), np.uint8)
    >>> dataset = SegmentationArrays(images, labels, num_classes=2)
    >>> image, label = next(iter(dataset.train(batch_size=2, image_size=4)))
    >>> image.shape, label.shape
    (TensorShape([2, 4, 4, 3]), TensorShape([2, 4, 4]))
    >>> tagged = SegmentationArrays(images, tags=[[1, 0], [1, 1], [1, 1]])
    >>> _, known = next(iter(tagged.train(2, 4, mode="resize", shuffle=False)))
    >>> known["tags"].numpy().tolist(), known["labels"].shape
    ([[1.0, 0.0], [1.0, 1.0]], TensorShape([2, 4, 4]))
    """

    def __init__(
        self,
        images,
        labels=None,
        num_classes=None,
        class_names=None,
        value_range=None,
        names=None,
        unlabeled=None,
        negatives=None,
        tags=None,
    ):
        if labels is None:
            if tags is None:
                raise ValueError("`labels` must be given unless `tags` are. Received: labels=None")
            labels = [np.full(np.shape(image)[:2], UNLABELED, np.uint8) for image in images]
        if len(images) == 0 or len(images) != len(labels):
            raise ValueError(
                "`images` and `labels` must be of the same length and not empty. "
                f"Received: {len(images)} images and {len(labels)} label maps"
            )
        self.names = tuple(str(name) for name in (range(len(images)) if names is None else names))
        if len(self.names) != len(images):
            raise ValueError(f"`names` must name all {len(images)} images. Received: {len(self.names)} names")
        self._images = [self._image(image, name) for image, name in zip(images, self.names, strict=True)]
        self._labels = [check_label_map(array, f"labels[{i}]") for i, array in enumerate(labels)]
        self.dtype, self.channels = self._images[0].dtype, self._images[0].shape[2]
        for image, label, name in zip(self._images, self._labels, self.names, strict=True):
            if (image.dtype, image.shape[2]) != (self.dtype, self.channels):
                raise ValueError(
                    f"All images must have the {self.channels} channels of {self.dtype} of the first. "
                    f"Received: {image.shape[2]} of {image.dtype} in {name!r}"
                )
            if image.shape[:2] != label.shape:
                raise ValueError(
                    f"Image and labels of {name!r} must have the same size. "
                    f"Received: image {image.shape[:2]}, labels {label.shape}"
                )
        self.value_range = self._range(value_range)
        largest = max((int(label[label < PADDING].max(initial=0)) for label in self._labels), default=0)
        if tags is not None and num_classes is None and class_names is None and np.ndim(tags) == 2:
            num_classes = np.shape(tags)[1]
        self.num_classes, self.class_names = resolve_classes(num_classes, class_names, largest)
        if tags is not None:
            self.tags = self._checked_tags(tags)
        for label, name in zip(self._labels, self.names, strict=True):
            wrong = label[(label >= self.num_classes) & (label < PADDING)]
            if wrong.size:
                raise ValueError(
                    f"The labels of {name!r} must be 0 to {self.num_classes - 1}, 254 or 255. "
                    f"Received: class id {wrong[0]}"
                )
        for argument, further, value in (("unlabeled", unlabeled, UNLABELED), ("negatives", negatives, 0)):
            if further is not None:
                setattr(self, argument, self._uniform(argument, further, value, value_range))
                self._check_further(argument)

    def load(self, index):
        """One image; see `SegmentationDataset.load`."""
        return self._images[index], self._labels[index]

    def _checked_tags(self, tags):
        array, expected = np.asarray(tags), (len(self.names), self.num_classes)
        if array.shape != expected:
            raise ValueError(
                f"`tags` must have shape (images, classes), {expected}. Received: tags.shape={array.shape}"
            )
        wrong = np.flatnonzero(~np.isin(array, (0, 1)).all(axis=1) | (array[:, 0] != 1))
        if wrong.size:
            raise ValueError(
                "`tags` must be 0 or 1, and 1 in column 0, since every image has background. "
                f"Received: {array[wrong[0]].tolist()} of {self.names[wrong[0]]!r}"
            )
        return array.astype(np.float32)

    def _uniform(self, argument, images, value, value_range):
        if len(images) == 0:
            raise ValueError(f"`{argument}` must hold at least one image or be None. Received: none")
        names = [f"{argument}[{index}]" for index in range(len(images))]
        labels = [np.full(np.shape(image)[:2], value, np.uint8) for image in images]
        return SegmentationArrays(images, labels, self.num_classes, self.class_names, value_range, names)

    @staticmethod
    def _image(image, name):
        array = np.asarray(image)
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3 or array.size == 0:
            raise ValueError(
                f"The image {name!r} must have shape (height, width, channels). Received: shape {array.shape}"
            )
        if array.dtype.kind == "f":
            return array.astype(np.float32, copy=False)
        if array.dtype.name not in VALUE_RANGES:
            raise TypeError(
                f"The image {name!r} must be uint8, uint16 or floating point. Received: {array.dtype}"
            )
        return array

    def _range(self, value_range):
        if value_range is None:
            if self.dtype.name not in VALUE_RANGES:
                raise ValueError(
                    "`value_range` must be given for floating point images. Received: value_range=None"
                )
            return VALUE_RANGES[self.dtype.name]
        low, high = check_value_range(value_range)
        for image, name in zip(self._images, self.names, strict=True):
            if not (image.min() >= low and image.max() <= high):
                raise ValueError(
                    f"The image {name!r} must lie within `value_range` ({low:g}, {high:g}). "
                    f"Received: values from {image.min():g} to {image.max():g}"
                )
        return low, high
