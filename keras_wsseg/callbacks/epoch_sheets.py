import pathlib

import keras

from keras_wsseg.arguments import check_integer, check_value_range
from keras_wsseg.callbacks.shown_images import ShownImages, stated_range
from keras_wsseg.imaging.palette import as_palette
from keras_wsseg.imaging.write_png import write_png


class EpochSheets(keras.callbacks.Callback):
    """Base of callbacks that write a sheet of images every few epochs, as a file and to TensorBoard.

    Args:
        images, directory, class_names, truth, every, tensorboard, palette, max_images, value_range,
            from_logits: as for `PredictionImages`.
    """

    topic = None
    """The name of the sheets in TensorBoard."""

    def __init__(
        self,
        images,
        directory,
        class_names,
        truth,
        every,
        tensorboard,
        palette,
        max_images,
        value_range,
        from_logits,
    ):
        super().__init__()
        self.every = check_integer("every", every, low=1)
        self._given = ShownImages(images, max_images)
        self.images = self._given.images
        self.truth = self._given.label_maps("truth", truth)
        self.directory = pathlib.Path(directory)
        self.class_names = class_names
        self.palette = as_palette(palette)
        self.tensorboard = tensorboard
        self.value_range = None if value_range is None else check_value_range(value_range)
        self.from_logits = from_logits
        self._writer = None

    def validate_inputs(self):
        """Called before training, without running the model: raises if a sheet could not be drawn."""
        raise NotImplementedError(f"{type(self).__name__} must implement validate_inputs().")

    def sheet(self, caption):
        """The current sheet, uint8 `(height, width, 3)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement sheet(caption).")

    def display_range(self):
        """The values of black and white in the images."""
        return self.value_range or stated_range(self.model)

    def on_train_begin(self, logs=None):
        self.validate_inputs()
        if self.tensorboard is not None:
            self._writer = _summary().create_file_writer(str(self.tensorboard))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        sheet = self.sheet(f"epoch {epoch + 1}")
        write_png(self.directory / f"epoch_{epoch + 1:04d}.png", sheet)
        if self._writer is not None:
            with self._writer.as_default():
                _summary().image(self.topic, sheet[None], step=epoch)
            self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _summary():
    try:
        from tensorflow import summary

        # Without TensorBoard, TensorFlow has a `summary` module without functions such as `image`.
        if not hasattr(summary, "image"):
            raise ImportError("tensorboard is missing")
    except ImportError as error:
        raise ImportError(
            f"`tensorboard` requires packages: pip install tensorflow tensorboard. Received: {error}"
        ) from error
    return summary
