"""Segmenters out of files: run folders, Keras models and ONNX files, all with one face."""

import pathlib

import numpy as np

from keras_wsseg.cli.console import load_keras


def load_segmenter(path):
    """A segmenter from image to class map, whatever kind of file it lies in.

    Args:
        path: a run folder, a `.keras` file or an `.onnx` file.

    Returns:
        `export.OnnxSegmenter` or `KerasSegmenter`: both are called with an image, give `.probabilities`,
        and have `class_names`, `palette`, `value_range` and `channels`.

    Raises:
        FileNotFoundError: if there is no such file, or the training in the folder is not finished.
        ValueError: if it is no segmenter.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() == ".onnx":
        from keras_wsseg.export import OnnxSegmenter

        return OnnxSegmenter(path)
    model, class_names, _ = load_keras_model(path)
    return KerasSegmenter(model, class_names)


def load_keras_model(path):
    """The Keras model of a run folder or a `.keras` file.

    Returns:
        `(model, class_names, config)`: the names and settings out of the run folder, else None.

    Raises:
        FileNotFoundError: if there is no such file, or the training in the folder is not finished.
        ValueError: if it is no Keras model.
    """
    from keras_wsseg.training.config import TrainingConfig
    from keras_wsseg.training.run_folder import RunFolder, load_model, segmenter_file

    file = segmenter_file(path)
    load_keras()
    model = load_model(file)
    run = RunFolder(file.parent)
    if not run.config.is_file():
        return model, None, None
    return model, run.read_class_names(), TrainingConfig.read(run.config)


def check_channels(segmenter):
    """Raises `ValueError` where image files are nothing for a segmenter."""
    if segmenter.channels not in (1, 3):
        raise ValueError(
            f"The segmenter must take gray or RGB images. Received: {segmenter.channels} channels"
        )


def numbered_classes(count):
    """What the classes of a segmenter are called, here and in ONNX files, where nobody named them."""
    return tuple(f"class {number}" for number in range(count))


class KerasSegmenter:
    """A Keras segmenter with the face of `export.OnnxSegmenter`.

    Args:
        model: `keras.Model` from image to logits or probabilities, or one that holds one as `segmenter`.
        class_names: names of the classes; `class 0`, `class 1`, … by default.

    Raises:
        TypeError, ValueError: if the model is no segmenter, or has another number of classes.
    """

    outputs = ("probabilities", "classes")

    def __init__(self, model, class_names=None):
        from keras_wsseg.export.source import (
            find_probabilities,
            find_segmenter,
            find_value_range,
            image_shape,
        )
        from keras_wsseg.visualization import class_palette

        self.model = find_segmenter(model)
        self._probabilities = find_probabilities(model)
        self.channels = image_shape(self.model).channels
        self.value_range = find_value_range(model) or (0.0, 255.0)
        classes = max(2, self.model.output_shape[-1])
        self.class_names = tuple(class_names or numbered_classes(classes))
        if len(self.class_names) != classes:
            raise ValueError(
                f"The segmenter tells {classes} classes apart. Received: {len(self.class_names)} class names"
            )
        self.palette = class_palette(min(classes, 254))

    def __call__(self, image):
        """The class of every pixel, `(height, width)` integers."""
        return np.argmax(self.probabilities(image), axis=-1)

    def probabilities(self, image):
        """The probability of each class at every pixel, `(height, width, classes)` float32.

        Raises:
            ValueError: if the image does not lie within `value_range`.
        """
        from keras import ops

        from keras_wsseg.models.predicted_logits import predicted_logits
        from keras_wsseg.ops.class_scores import class_probabilities

        low, high = self.value_range
        if not (image.min() >= low and image.max() <= high):
            raise ValueError(
                f"An image must have values between {low:g} and {high:g} for this segmenter. "
                f"Received: values from {image.min():g} to {image.max():g}"
            )
        logits = predicted_logits(self.model, image, self._probabilities)
        return ops.convert_to_numpy(class_probabilities(logits))[0]

    def logits(self, image):
        """Logits of each class on the model's own grid, `(h, w, classes)` float32."""
        from keras import ops

        from keras_wsseg.models.predicted_logits import predicted_logits

        logits = predicted_logits(self.model, image, self._probabilities, own_grid=True)
        return ops.convert_to_numpy(logits)[0]
