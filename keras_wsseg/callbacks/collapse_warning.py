import logging

import keras
import numpy as np

from keras_wsseg.arguments import check_number
from keras_wsseg.callbacks.shown_images import ShownImages

_SLACK = 0.01


class CollapseWarning(keras.callbacks.Callback):
    """Warns when the model predicts one label nearly everywhere, and when it no longer does.

    A regularizer is content with one label for all pixels, and the loss that falls looks like success: the
    usual way for a training without labeled pixels to fail. Some images are predicted at the end of each
    epoch, in inference mode; the share of their pixels that has the most frequent class stands in the logs as
    `largest_class_share`, and a line goes to the logger `keras_wsseg` in the epoch where the share reaches
    `limit`, and again in the one where it falls clearly below, by 0.01. A model that yields no numbers any
    more (NaN) shows as its first class.

    Args:
        images: images `(height, width, channels)` with one channel or three, as the model takes them, of
            any sizes; or dicts of inputs, of which `image` is of the size to predict. Choose such that no
            class truly fills `limit` of them.
        class_names: a name for each class, for the line.
        limit: share of the pixels from which on the model counts as collapsed, above 0 and up to 1.
        max_images: how many of the images are predicted, from the first.

    Raises:
        ValueError: if there are no images, or `limit` or `max_images` is out of range; when training
            begins, if the model does not yield `(batch, height, width, classes)`, where one channel is the
            second of two classes, or not as many as there are names.

    Example:
        >>> images = np.zeros((2, 8, 8, 1), "float32")
        >>> net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
        >>> net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> warning = CollapseWarning(images, class_names=["ground", "tree"])
        >>> history = net.fit(images, np.ones((2, 8, 8)), callbacks=[warning], verbose=0)
        >>> history.history["largest_class_share"]
        [1.0]
    """

    def __init__(self, images, class_names=None, limit=0.99, max_images=16):
        super().__init__()
        check_number("limit", limit, above=0, high=1)
        self._given = ShownImages(images, max_images)
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        self.limit = float(limit)
        self._collapsed = False

    def on_train_begin(self, logs=None):
        # What cannot be predicted says so now, not after an epoch of training.
        classes = self._given.classes(self.model)
        if self.class_names is not None and len(self.class_names) != classes:
            raise ValueError(
                f"`class_names` must have a name for each of the model's {classes} classes. "
                f"Received: {len(self.class_names)} names"
            )
        self._collapsed = False

    def on_epoch_end(self, epoch, logs=None):
        pixels = np.bincount(np.concatenate([one.ravel() for one in self._given.class_maps(self.model)]))
        largest = int(np.argmax(pixels))
        share = float(pixels[largest] / pixels.sum())
        if logs is not None:
            logs["largest_class_share"] = share
        # A share that wavers about the limit shall not be news in every epoch.
        slack = min(_SLACK, 1 - self.limit) if self._collapsed else 0.0
        collapsed = share >= self.limit - slack
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            logging.getLogger("keras_wsseg").warning(self._line(epoch, share, self._name(largest)))

    def _name(self, number):
        return f"class {number}" if self.class_names is None else repr(self.class_names[number])

    def _line(self, epoch, share, name):
        if self._collapsed:
            return (
                f"epoch {epoch + 1}: {share:.1%} of the pixels are predicted as {name}; the model has "
                "collapsed to one label. Try a longer annealing or other weights of the losses."
            )
        return (
            f"epoch {epoch + 1}: the model is no longer collapsed to one label; "
            f"{name}, its most frequent one, has {share:.1%} of the pixels."
        )
