"""The common base of image folders and arrays."""

import abc

from keras_wsseg.arguments import check_integer
from keras_wsseg.data.arguments import check_further_batches, size_pair
from keras_wsseg.data.train_settings import TrainSettings

# The kinds of further images that a data set may have.
_FURTHER = {"unlabeled": "images without annotation", "negatives": "images without object"}


class SegmentationDataset(abc.ABC):
    """Images with label maps, as batches for training and validation.

    All sources share one augmentation. To read another source, subclass it: implement `load`, and set the
    attributes in the constructor.

    Attributes:
        num_classes: number of classes.
        class_names: their names, a tuple of `num_classes` strings.
        channels: 1 for gray images, 3 for color.
        dtype: NumPy type of the images that `load` returns.
        value_range: lowest and highest value an image may have.
        names: one name per image, a tuple.
        unlabeled: None, or a `SegmentationDataset` of images of the same format that `train` mixes into
            its batches without their annotation.
        negatives: None, or a `SegmentationDataset` of images of the same format that are known to contain
            only background, which `train` mixes into its batches with that label.
        tags: None, or which classes each image contains, float32 `(len, num_classes)` of 0 and 1 with column
            0, the background, always 1; then batches contain tags and labels, and `unlabeled` and `negatives`
            must be None.

    Example:

    >>> import numpy as np
    >>> class Flat(SegmentationDataset):
    ...     num_classes, class_names, channels = 2, ("a", "b"), 1
    ...     dtype, value_range, names = np.dtype("uint8"), (0, 255), ("one", "two")
    ...     def load(self, index):
    ...         return np.full((6, 6, 1), index, np.uint8), np.full((6, 6), index, np.uint8)
    >>> [labels.shape for _, labels in Flat().train(2, 4)]
    [TensorShape([2, 4, 4])]
    """

    unlabeled = None
    negatives = None
    tags = None

    @abc.abstractmethod
    def load(self, index):
        """One image.

        Args:
            index: position in `names`.

        Returns:
            `(image (height, width, channels), uint8 labels (height, width))`.
        """

    def __len__(self):
        return len(self.names)

    def fetch(self, index, cache=True):
        """Calls `load`, optionally caching the result.

        Args:
            index: position in `names`.
            cache: keep the decoded image in memory for later calls.

        Returns:
            what `load` returns.
        """
        if not cache:
            return self.load(index)
        cached = self.__dict__.setdefault("_cached", {})
        if index not in cached:
            cached[index] = self.load(index)
        return cached[index]

    def train(
        self,
        batch_size,
        image_size,
        scale=(0.5, 2.0),
        flip=True,
        seed=0,
        shuffle=True,
        repeat=False,
        cache=True,
        color_jitter=0.0,
        first_epoch=0,
        unlabeled_batch=None,
        mode="crop",
        negative_batch=0,
    ):
        """Batches of randomly scaled, cropped and flipped images, or of whole ones.

        Each pass over the result is an epoch of `steps_per_epoch` full batches (the last one filled up by
        drawing again) in a new order with new augmentations, all determined by `seed`. Images are scaled
        bilinearly. Labels take the id under the pixel's center, and where there is none that of an annotated
        pixel falling into it: exact for dense labels, and no click is lost. Tags describe whole images, and a
        crop may miss a tagged object: with `tags`, prefer `mode="resize"` or crops nearly as large as the
        scaled images.

        Args:
            batch_size: images per batch.
            image_size: side of the training images in pixels, or `(height, width)`.
            scale: lowest and highest factor, drawn uniformly; below 0.5 images begin to alias.
            flip: mirror half of the images horizontally.
            seed: non-negative integer.
            shuffle: new order each epoch; otherwise that of `names`.
            repeat: repeat endlessly, for `fit(steps_per_epoch=...)`.
            cache: keep decoded images (not their crops) in memory.
            color_jitter: largest relative change of brightness, contrast and (of color images)
                saturation, from 0 to below 1.
            first_epoch: number of epochs to skip, to resume an interrupted training.
            unlabeled_batch: how many images of each batch come from `unlabeled`, spread evenly over it;
                by default half (rounded down) if there are any. They are shuffled and repeated separately,
                each shown once before any is shown again, independently of epochs; all their labels are 255
                and 254.
            mode: `"crop"`, or `"resize"`: resize each whole image to `image_size`, whatever its aspect ratio,
                for losses on the whole image; images are antialiased where they shrink. Nothing is randomly
                scaled or cropped, so `scale` must keep its default.
            negative_batch: how many images of each batch come from `negatives`, spread evenly over it,
                shuffled and repeated separately like those of `unlabeled`; all their labels are 0 and 254. By
                default 0, even if there are any: they may be added later, with `first_epoch`.

        Returns:
            `tf.data.Dataset` of `(image, labels)`: float32 `(batch, *image_size, channels)` within
            `value_range`, and uint8 `(batch, *image_size)` with 255 where unlabeled and 254 where the crop
            extends beyond the image (there the image has the middle of its range); whole images have 254 only
            where their annotation has. With `tags`, `(image, {"tags": tags, "labels": labels})` with float32
            `(batch, num_classes)` tags.

        Raises:
            ValueError: an argument is out of range, `scale` is set with `mode="resize"`, or `unlabeled` or
                `negatives` contain images of another format or are combined with `tags`.
        """
        from keras_wsseg.data.pipeline import train_pipeline

        batch_size = check_integer("batch_size", batch_size, low=1)
        settings = TrainSettings(
            batch_size=batch_size,
            image_size=size_pair(image_size),
            scale=scale,
            flip=bool(flip),
            seed=seed,
            shuffle=bool(shuffle),
            repeat=bool(repeat),
            cache=bool(cache),
            color_jitter=color_jitter,
            first_epoch=first_epoch,
            mode=mode,
            **self._further_batches(batch_size, unlabeled_batch, negative_batch),
        )
        return train_pipeline(self, settings)

    def steps_per_epoch(self, batch_size, unlabeled_batch=None, negative_batch=0):
        """Number of batches of `train` that show every image of `names` once.

        Args:
            batch_size, unlabeled_batch, negative_batch: as in `train`.

        Returns:
            `ceil(len(self) / (batch_size - unlabeled_batch - negative_batch))`.

        Raises:
            ValueError: an argument is out of range.
        """
        batch_size = check_integer("batch_size", batch_size, low=1)
        further = self._further_batches(batch_size, unlabeled_batch, negative_batch)
        return -(-len(self) // check_further_batches(batch_size, **further))

    def _further_batches(self, batch_size, unlabeled_batch, negative_batch):
        """Number of images of each further kind in a batch, by argument name."""
        if unlabeled_batch is None:
            if self.unlabeled is not None and batch_size == 1:
                raise ValueError(
                    "`batch_size` must be at least 2 to hold images with and without annotation. "
                    "Received: batch_size=1"
                )
            unlabeled_batch = 0 if self.unlabeled is None else batch_size // 2
        counts = {"unlabeled_batch": unlabeled_batch, "negative_batch": negative_batch}
        for (argument, count), (name, what) in zip(counts.items(), _FURTHER.items(), strict=True):
            if getattr(self, name) is not None:
                self._check_further(name)
            elif count:
                raise ValueError(f"`{argument}` needs {what}, in `{name}`. Received: {argument}={count!r}")
        check_further_batches(batch_size, **counts)
        return {argument: int(count) for argument, count in counts.items()}

    def _check_further(self, further):
        if self.tags is not None:
            raise ValueError(
                f"`{further}` must be None with `tags`, which images without object have too: the "
                f"background alone. Received: {len(getattr(self, further))} images in `{further}`"
            )
        for name in ("channels", "dtype", "value_range"):
            own, other = getattr(self, name), getattr(getattr(self, further), name)
            if own != other:
                raise ValueError(
                    f"`{further}` must hold images of the same {name} as the annotated ones, {own}. "
                    f"Received: {other}"
                )

    def validation(self, batch_size=1, pad_to_multiple=None, cache=True):
        """Batches of whole images in the order of `names`.

        Args:
            batch_size: images per batch; smaller ones are padded at the right and bottom to the largest.
            pad_to_multiple: pad height and width to a multiple of this, for models that need it.
            cache: keep decoded images in memory.

        Returns:
            `tf.data.Dataset` of `(float32 (batch, height, width, channels), uint8 (batch, height, width))`;
            254 where padded. With `tags`, `(image, {"tags": tags, "labels": labels})` as in `train`.

        Raises:
            ValueError: an argument is not a positive integer.
        """
        from keras_wsseg.data.pipeline import validation_pipeline

        batch_size = check_integer("batch_size", batch_size, low=1)
        if pad_to_multiple is not None:
            pad_to_multiple = check_integer("pad_to_multiple", pad_to_multiple, low=1)
        return validation_pipeline(self, batch_size, pad_to_multiple, bool(cache))
