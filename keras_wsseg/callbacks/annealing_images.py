import pathlib

import keras
import numpy as np
from PIL import Image

from keras_wsseg.arguments import check_integer, check_value_range
from keras_wsseg.callbacks.per_step import check_trained
from keras_wsseg.callbacks.shown_images import ShownImages, stated_range
from keras_wsseg.imaging.write_png import write_png
from keras_wsseg.kernels.annealable import Annealable
from keras_wsseg.visualization.annealing_sheet import annealing_column, annealing_film, checked_show


class AnnealingImages(keras.callbacks.Callback):
    """Visualizes annealing: for each epoch, the weights of the sparse CRF and the prediction below them.

    Whether a training without labels finds the object is decided while `sigma_rgb` grows. The chart
    `directory/annealing.png` gains a column with each epoch. The columns are stored in `directory/columns`,
    so that a resumed training continues the chart; a new training in the same folder overwrites them.

    Args:
        images: images `(height, width, channels)` with one channel or three, in the format of the model's
            input, of any sizes; or dicts of inputs, of which `image` is shown.
        loss: the loss whose `sigma_rgb` is annealed, a `SparseCRFLoss` such as `SingleClassLoss().crf`; must
            be the same object that was compiled.
        directory: folder for the chart; created when the first column is written.
        epochs: number of epochs to include, from the first, such as those of the annealing stage; None: all.
        every: number of epochs between columns.
        truth: dense label maps `(height, width)`, one per image, whose object is shown below the image; None
            shows the image again.
        object_class: class id of the object.
        show: `"probability"`, that of the object in gray, or `"mask"`, in color where the object has the
            highest probability.
        max_images: number of images to show, from the first.
        value_range: the values of black and white; by default those of the model if it declares them, as
            `WeaklySupervisedModel` does, else `(0, 255)`.
        from_logits: whether the model outputs logits; probabilities otherwise.
        cell: maximum width and height of an image in the chart, in pixels, at least 32.

    Raises:
        TypeError: if `loss` has no `sigma_rgb`, or labels are not integers.
        ValueError: if there are no images, sizes do not match, or a value is out of range; when training
            begins, if `loss` is not the compiled object, an image is outside its value range, or the model
            has no class `object_class`.

    Example:
        >>> import tempfile
        >>> from keras_wsseg import WeaklySupervisedModel, losses
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
        >>> net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
        >>> model, crf = WeaklySupervisedModel(net), losses.SparseCRFLoss()
        >>> model.compile("sgd", crf)
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> film = AnnealingImages(images, crf, folder)
        >>> history = model.fit(images, np.full((2, 8, 8), 255), callbacks=[film], verbose=0)
        >>> sorted(path.name for path in folder.iterdir())
        ['annealing.png', 'columns']

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", ECCV,
    figure 2.
    """

    def __init__(
        self,
        images,
        loss,
        directory,
        epochs=None,
        every=1,
        truth=None,
        object_class=1,
        show="probability",
        max_images=4,
        value_range=None,
        from_logits=True,
        cell=160,
    ):
        super().__init__()
        if not isinstance(loss, Annealable) or "sigma_rgb" not in loss.annealable:
            raise TypeError(f"`loss` must have a sigma_rgb, such as SparseCRFLoss. Received: loss={loss!r}")
        self.loss = loss
        self._given = ShownImages(images, max_images)
        self._truth = self._given.label_maps("truth", truth)
        self.directory = pathlib.Path(directory)
        self.epochs = None if epochs is None else check_integer("epochs", epochs, low=1)
        self.every = check_integer("every", every, low=1)
        self.object_class = check_integer("object_class", object_class, low=0)
        self.show = checked_show(show)
        self.value_range = None if value_range is None else check_value_range(value_range)
        self.from_logits = from_logits
        self.cell = check_integer("cell", cell, low=32)

    def on_train_begin(self, logs=None):
        check_trained(self.model, self.loss, "loss")
        # A dry run, so that drawing errors are raised now, not after an epoch of training.
        self._film([self._column(epoch=1)])

    def on_epoch_end(self, epoch, logs=None):
        if not self._is_filmed(epoch + 1):
            return
        write_png(self._path(epoch + 1), self._column(epoch + 1))
        # Columns of later epochs are leftovers from another training in this folder.
        done = [self._path(number) for number in range(1, epoch + 2) if self._is_filmed(number)]
        columns = [np.asarray(Image.open(path).convert("RGB")) for path in done if path.is_file()]
        write_png(self.directory / "annealing.png", self._film(columns))

    def _is_filmed(self, epoch):
        return epoch % self.every == 0 and (self.epochs is None or epoch <= self.epochs)

    def _path(self, epoch):
        return self.directory / "columns" / f"epoch_{epoch:04d}.png"

    def _column(self, epoch):
        return annealing_column(
            self._given.images,
            self.loss.sigma_rgb,
            self._given.probabilities(self.model, self.from_logits),
            f"epoch {epoch}",
            self.object_class,
            self.show,
            self.value_range or stated_range(self.model),
            self.cell,
        )

    def _film(self, columns):
        return annealing_film(
            self._given.images,
            columns,
            self._truth,
            self.object_class,
            self.show,
            self.value_range or stated_range(self.model),
            self.cell,
        )
