import logging

import keras
import numpy as np

from keras_wsseg.arguments import check_number
from keras_wsseg.callbacks.shown_images import ShownImages

_SLACK = 0.01


class CollapseWarning(keras.callbacks.Callback):
    """Warns when the model predicts one label nearly everywhere, and when it no longer does.

    A regularizer is minimal if all pixels have the same label, and the falling loss looks like success: this
    is how training without labeled pixels usually fails. At the end of each epoch some images are predicted
    in inference mode, and the share of pixels of the most frequent class is logged as `largest_class_share`.
    A warning is sent to the logger `keras_wsseg` in the epoch in which the share reaches `limit`, and another
    when it falls clearly below, by 0.01. A model that outputs NaN counts as predicting its first class.

    Args:
        images: images `(height, width, channels)` with one channel or three, in the format of the model's
            input, of any sizes; or dicts of inputs, of which `image` has the size to predict. Choose images
            in which no class actually fills a share of `limit`.
        class_names: a name for each class, for the warning.
        limit: share of the pixels from which the model counts as collapsed, above 0 and up to 1.
        max_images: number of images to predict, from the first.

    Raises:
        ValueError: if there are no images, or `limit` or `max_images` is out of range; when training
            begins, if the model's output is not `(batch, height, width, classes)`, where one channel is the
            second of two classes, or the number of classes differs from that of names.

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
        # Raises errors of prediction now, not after an epoch of training.
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
        # Hysteresis: a share that fluctuates around the limit should not be reported in every epoch.
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
                "collapsed to one label. Try a longer annealing stage or different loss weights."
            )
        return (
            f"epoch {epoch + 1}: the model is no longer collapsed to one label; "
            f"the most frequent one, {name}, has {share:.1%} of the pixels."
        )
