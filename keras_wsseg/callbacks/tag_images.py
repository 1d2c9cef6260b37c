import keras
import numpy as np
from keras import ops

from keras_wsseg.callbacks.epoch_sheets import EpochSheets
from keras_wsseg.ops.resize import resize_bilinear
from keras_wsseg.visualization.loss_gradient import enlarged
from keras_wsseg.visualization.tag_sheet import checked_tags, tag_sheet


class TagImages(EpochSheets):
    """Writes images of the maps, labels and predictions of a training from tags, epoch by epoch.

    Such a training generates its labels as it goes and also learns their errors: whether a map highlights the
    object or its surroundings, and whether the labels derived from the maps follow its edges, is visible in
    an image long before it affects a score. Each sheet shows the image with its tags, the map of every class,
    the labels estimated from them, the prediction and, if given, the ground truth. It is written to
    `directory` as `epoch_0001.png` and so on; TensorBoard shows the same sheets with a slider over the
    epochs.

    Args:
        images: images `(height, width, channels)` with one channel or three, in the format of the model's
            input, of any sizes; or dicts of inputs, of which `image` is shown.
        tags: `(images, classes)` of 0 and 1: the classes that each image contains, always including the
            background, column 0.
        directory: folder for the sheets; created when the first one is written.
        estimate: function of the model, of images in the format of its input, NumPy arrays `(batch, height,
            width, channels)` or a dict of these, and of their tags, float32 `(batch, classes)`. It returns
            maps `(batch, h, w, classes)` within [0, 1], and labels `(batch, h, w)`, integers, 255 for
            unlabeled pixels, 254 for pixels outside the image; a coarser grid is resized to the size of the
            image. None: the method `mine` of the model, as in `ReliableRegionMining`; or the method
            `estimate` of the compiled loss, as in `AdaptivePriorLoss`, whose soft labels are the maps, with
            the most likely class as the label.
        class_names: a name for each class, for titles and a legend.
        truth: dense label maps `(height, width)`, one per image. None omits the column.
        every: number of epochs between sheets.
        tensorboard: folder of TensorBoard logs to which the sheets are also written. None writes files only.
        palette: `(classes, 3)` red, green, blue from 0 to 255; `visualization.class_palette` by default.
        max_images: number of images to show, from the first.
        value_range: the values of black and white; by default those of the model if it declares them, as
            `WeaklySupervisedModel` does, else `(0, 255)`.
        from_logits: whether the model outputs logits; probabilities otherwise.

    Raises:
        ImportError: when training begins, if `tensorboard` is given and TensorFlow or TensorBoard is not
            installed.
        TypeError: if `estimate` is not a function, or labels are not integers.
        ValueError: if there are no images, lists differ in length, sizes do not match, or a value is out of
            range; when training begins, if there is no method to estimate labels with, an image is outside
            its value range, or names or colors do not match the classes; after the first epoch, if the
            output of `estimate` does not match the images.

    Example:
        >>> import pathlib, tempfile
        >>> from keras_wsseg import WeaklySupervisedModel, losses
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
        >>> tags = np.array([[1, 1, 0], [1, 0, 1]])
        >>> net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
        >>> model = WeaklySupervisedModel(net)
        >>> model.compile("sgd", losses.PartialCrossEntropy())
        >>> def brightest(model, images, tags):
        ...     maps = ops.softmax(model(images)) * tags[:, None, None]
        ...     return maps, ops.argmax(maps, axis=-1)
        >>> folder = tempfile.mkdtemp()
        >>> sheets = TagImages(images, tags, folder, brightest, class_names=["ground", "cat", "dog"])
        >>> history = model.fit(images, tags, callbacks=[sheets], verbose=0)
        >>> [path.name for path in pathlib.Path(folder).iterdir()]
        ['epoch_0001.png']
    """

    topic = "tags"

    def __init__(
        self,
        images,
        tags,
        directory,
        estimate=None,
        class_names=None,
        truth=None,
        every=1,
        tensorboard=None,
        palette=None,
        max_images=4,
        value_range=None,
        from_logits=True,
    ):
        super().__init__(
            images=images,
            directory=directory,
            class_names=class_names,
            truth=truth,
            every=every,
            tensorboard=tensorboard,
            palette=palette,
            max_images=max_images,
            value_range=value_range,
            from_logits=from_logits,
        )
        if estimate is not None and not callable(estimate):
            raise TypeError(f"`estimate` must be a function. Received: estimate={estimate!r}")
        self.estimate = estimate
        self.tags = checked_tags(tags, len(images))[: len(self.images)].astype("float32")

    def validate_inputs(self):
        self._estimate()
        sizes = [image.shape[:2] for image in self.images]
        nothing = [np.zeros((*size, self.tags.shape[1]), np.float32) for size in sizes]
        # Labels of every class, so that a class without a color is detected.
        labels = [np.arange(size[0] * size[1]).reshape(size) % self.tags.shape[1] for size in sizes]
        self._sheet(nothing, labels, nothing, caption="")

    def sheet(self, caption):
        estimate = self._estimate()
        maps, labels = [None] * len(self.images), [None] * len(self.images)
        for numbers, batch in self._given.batches():
            found = estimate(self.model, batch, self.tags[numbers])
            size = self.images[numbers[0]].shape[:2]
            for number, own_map, own_labels in zip(
                numbers, *_sized(found, size, len(numbers), self.tags.shape[1]), strict=True
            ):
                maps[number], labels[number] = own_map, own_labels
        return self._sheet(maps, labels, self._given.probabilities(self.model, self.from_logits), caption)

    def _estimate(self):
        if self.estimate is not None:
            return self.estimate
        if callable(getattr(self.model, "mine", None)):
            return _mined
        loss = getattr(self.model, "loss", None)
        for term in getattr(loss, "terms", [loss]):
            if callable(getattr(term, "estimate", None)):
                return lambda model, images, tags: _softly_labeled(term, model, images, tags)
        raise ValueError(
            "`estimate` must be given unless the model has a method `mine`, such as ReliableRegionMining, "
            "or its compiled loss a method `estimate`, such as AdaptivePriorLoss. "
            f"Received: estimate=None, model={type(self.model).__name__}, loss={type(loss).__name__}"
        )

    def _sheet(self, maps, labels, probabilities, caption):
        return tag_sheet(
            self.images,
            maps,
            labels,
            probabilities,
            self.truth,
            self.class_names,
            self.palette,
            self.display_range(),
            caption,
            self.tags,
        )


def _mined(model, images, tags):
    images = keras.tree.map_structure(lambda part: ops.convert_to_tensor(part, "float32"), images)
    return model.mine(images, ops.convert_to_tensor(tags))


def _softly_labeled(loss, model, images, tags):
    soft = loss.estimate(model(images, training=False), ops.convert_to_tensor(tags))
    return soft, ops.argmax(soft, axis=-1)


def _sized(found, size, count, classes):
    """The maps and labels returned by `estimate`, as arrays of the size of the images."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ValueError(f"`estimate` must return maps and labels. Received: {type(found).__name__}")
    maps, labels = (ops.convert_to_numpy(part) for part in found)
    ranks = (maps.ndim, labels.ndim)
    if ranks != (4, 3) or (len(maps), maps.shape[-1], len(labels)) != (count, classes, count):
        raise ValueError(
            f"`estimate` must return maps ({count}, height, width, {classes}) and labels ({count}, height, "
            f"width) for {count} images and {classes} classes. "
            f"Received: shapes {maps.shape} and {labels.shape}"
        )
    # The maps of a model that diverged are shown as zeros; stopping the training is not this callback's job.
    maps = np.nan_to_num(maps.astype(np.float32), posinf=0, neginf=0)
    return ops.convert_to_numpy(resize_bilinear(maps, size)), [enlarged(one, size) for one in labels]
