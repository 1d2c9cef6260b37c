import numpy as np
from keras import ops

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.overlay import checked_labels
from keras_wsseg.imaging.rgb import checked_image
from keras_wsseg.models.model_output import yields_probabilities
from keras_wsseg.ops.class_scores import resized_class_logits

# Pixels per batch, as in a small training batch, so that prediction fits in memory if training does.
_PIXELS = 16 * 128 * 128


class ShownImages:
    """Images that a callback predicts repeatedly, each at its own size.

    Args:
        images: images `(height, width, channels)` with one channel or three, in the format of the model's
            input, of any sizes; or dicts of inputs, of which `image` is shown.
        max_images: number of images to use, from the first.

    Attributes:
        images: the images to show, `(height, width, 1 or 3)` each.

    Raises:
        ValueError: if there is no image, one has a different shape, or `max_images` is below 1.

    Example:
        >>> import keras
        >>> images = ShownImages([np.zeros((4, 6, 1)), np.zeros((5, 3, 1))], max_images=16)
        >>> net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
        >>> [one.shape for one in images.probabilities(net)]
        [(4, 6, 2), (5, 3, 2)]
    """

    def __init__(self, images, max_images):
        self._count = len(images)
        given = list(images)[: check_integer("max_images", max_images, low=1)]
        if not given:
            raise ValueError(f"`images` must contain at least one image. Received: {self._count} images")
        self.images = [checked_image(_shown(one)) for one in given]
        self._inputs = [
            {key: np.asarray(part) for key, part in one.items()} if isinstance(one, dict) else image
            for one, image in zip(given, self.images, strict=True)
        ]

    def label_maps(self, name, maps):
        """Validates label maps of the images.

        Args:
            name: name of the argument, for the error.
            maps: `(height, width)` integers or None, one per given image; or None.

        Returns:
            A list of int64 arrays and None, one per image used; or None.

        Raises:
            TypeError: if a map is not of integers.
            ValueError: if there are more or fewer maps than images, or sizes do not match.
        """
        if maps is None:
            return None
        if len(maps) != self._count:
            raise ValueError(
                f"`{name}` must have an entry for each of the {self._count} images. "
                f"Received: {len(maps)} entries"
            )
        return [
            None if one is None else checked_labels(one, image.shape[:2], name)
            for one, image in zip(maps, self.images, strict=False)
        ]

    def probabilities(self, model, from_logits=True):
        """The model's current predictions, in inference mode.

        Args:
            model: outputs `(batch, h, w, classes)`, or one channel for the second of two classes; resized to
                each image's size.
            from_logits: whether it outputs logits; probabilities otherwise. Ignored if the model or its last
                layer determines this.

        Returns:
            A list of float32 `(height, width, classes)`, one per image.

        Raises:
            ValueError: if the model's output has a different shape.
        """
        known = yields_probabilities(model)
        return self._predicted(model, not from_logits if known is None else known)

    def class_maps(self, model):
        """The class of the highest score at every pixel, `(height, width)`; otherwise as `probabilities`."""
        return [one.argmax(axis=-1) for one in self.probabilities(model)]

    def classes(self, model):
        """The number of classes that the model outputs, determined from the first image."""
        return max(2, int(_scores(model, self._batch([0])).shape[-1]))

    def batches(self):
        """Batches of model inputs: images of the same size together, up to a limit of pixels.

        Yields:
            `(numbers, batch)`: a list of indices into `images`, and an array or a dict of arrays.
        """
        by_shape = {}
        for number, one in enumerate(self._inputs):
            parts = one.items() if isinstance(one, dict) else [("image", one)]
            by_shape.setdefault(tuple((key, part.shape) for key, part in parts), []).append(number)
        for numbers in by_shape.values():
            height, width = self.images[numbers[0]].shape[:2]
            count = max(1, _PIXELS // (height * width))
            for start in range(0, len(numbers), count):
                together = numbers[start : start + count]
                yield together, self._batch(together)

    def _predicted(self, model, probabilities):
        found = [None] * len(self.images)
        for numbers, batch in self.batches():
            # A diverged model is shown as fully uncertain; stopping the training is not this class's job.
            scores = ops.nan_to_num(_scores(model, batch))
            logits = resized_class_logits(scores, self.images[numbers[0]].shape[:2], probabilities)
            predicted = ops.convert_to_numpy(ops.softmax(logits, axis=-1))
            for number, one in zip(numbers, predicted, strict=True):
                found[number] = one
        return found

    def _batch(self, numbers):
        inputs = [self._inputs[number] for number in numbers]
        if isinstance(inputs[0], dict):
            return {key: np.stack([one[key] for one in inputs]) for key in inputs[0]}
        return np.stack(inputs)


def stated_range(model):
    """The values of black and white declared by a model such as `WeaklySupervisedModel`, else (0, 255)."""
    stated = getattr(model, "value_range", (0, 255))
    return stated.get("image", (0, 255)) if isinstance(stated, dict) else stated


def _scores(model, batch):
    output = model(batch, training=False)
    if len(getattr(output, "shape", ())) != 4:
        raise ValueError(
            "the model's output must be (batch, height, width, classes) to show predictions. "
            f"Received: {getattr(output, 'shape', type(output).__name__)}"
        )
    return ops.cast(output, "float32")


def _shown(one):
    if not isinstance(one, dict):
        return one
    if "image" not in one:
        raise ValueError(f"`images` must contain the input `image`, which is shown. Received: {sorted(one)}")
    return one["image"]
