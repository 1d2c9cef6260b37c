import numpy as np

from keras_wsseg.callbacks.epoch_sheets import EpochSheets
from keras_wsseg.visualization.prediction_sheet import prediction_sheet


class PredictionImages(EpochSheets):
    """Writes images of the model's predictions during training, epoch by epoch.

    A falling loss does not show whether a regularizer follows edges or removes small objects; images do. Each
    sheet shows image, weak label, prediction, uncertainty (normalized entropy) and, if given, the ground
    truth. It is written to `directory` as `epoch_0001.png` and so on; TensorBoard shows the same sheets with
    a slider over the epochs.

    Args:
        images: images `(height, width, channels)` with one channel or three, in the format of the model's
            input, of any sizes; or dicts of inputs, of which `image` is shown.
        labels: weak label maps `(height, width)`, one per image: 0 to classes - 1 for a class, 255 for
            unlabeled pixels, 254 for pixels outside the image. None omits the column.
        directory: folder for the sheets; created when the first one is written.
        class_names: a name for each class, for a legend.
        truth: dense label maps, one per image. None omits the column.
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
        TypeError: if labels are not integers.
        ValueError: if there are no images, lists differ in length, sizes do not match, or a count is below
            1; when training begins, if an image is outside its value range or a class has no color.

    Example:
        >>> import pathlib, tempfile
        >>> images, labels = np.zeros((2, 8, 8, 1), "float32"), np.zeros((2, 8, 8), "uint8")
        >>> net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
        >>> net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> folder = tempfile.mkdtemp()
        >>> sheets = PredictionImages(images, labels, folder, class_names=["ground", "tree"])
        >>> history = net.fit(images, labels, callbacks=[sheets], verbose=0)
        >>> [path.name for path in pathlib.Path(folder).iterdir()]
        ['epoch_0001.png']
    """

    topic = "predictions"

    def __init__(
        self,
        images,
        labels,
        directory,
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
        self.labels = self._given.label_maps("labels", labels)

    def validate_inputs(self):
        self._sheet([np.ones((*image.shape[:2], 1)) for image in self.images], caption="")

    def sheet(self, caption):
        return self._sheet(self._given.probabilities(self.model, self.from_logits), caption)

    def _sheet(self, probabilities, caption):
        return prediction_sheet(
            self.images,
            probabilities,
            self.labels,
            self.truth,
            self.class_names,
            self.palette,
            self.display_range(),
            caption,
        )
