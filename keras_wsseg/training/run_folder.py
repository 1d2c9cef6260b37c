"""The folder of one training: settings, logs, checkpoints, images, the segmenter and its scores."""

import dataclasses
import json
import pathlib
import shutil

from keras_wsseg.imaging.atomic_write import atomic_write
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.text_file import read_text
from keras_wsseg.training.config import TrainingConfig, term_name


class RunFolder:
    """Where a training keeps what it makes.

    ```
    config.json      the settings
    classes.txt      the classes' names, one a line
    log.csv          loss, its terms and scores by epoch
    backup/          state of an unfinished training, for --resume
    images/          image, annotation, prediction and uncertainty by epoch; annealing/ of single-class
    tensorboard/     where asked for
    segmenter.keras  the trained segmenter
    scores.json      its scores
    ```

    Args:
        path: the folder; it need not exist.

    Example:
        >>> RunFolder("runs/hearts").segmenter.name
        'segmenter.keras'
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.config = self.path / "config.json"
        self.classes = self.path / "classes.txt"
        self.log = self.path / "log.csv"
        self.backup = self.path / "backup"
        self.images = self.path / "images"
        self.tensorboard = self.path / "tensorboard"
        self.segmenter = self.path / "segmenter.keras"
        self.scores = self.path / "scores.json"

    @property
    def finished(self):
        """Whether the training in this folder came to its end, scores included where they were asked for."""
        if not (self.config.is_file() and self.segmenter.is_file()):
            return False
        return self.scores.is_file() or TrainingConfig.read(self.config).validation is None

    def settings(self, config, resume):
        """The settings of the training to be done here; nothing is written yet.

        Args:
            config: the settings; when resuming, they must be those that the folder holds, or None.
            resume: go on with what lies here.

        Returns:
            A `TrainingConfig`.

        Raises:
            FileExistsError: if there is a training and it is not to be resumed.
            FileNotFoundError: if there is none to resume.
            ValueError: if it was begun with other settings.
        """
        if resume:
            if not self.config.is_file():
                raise FileNotFoundError(f"There is no training to resume in {str(self.path)!r}.")
            begun = self.resumable(self.config)
            check_unchanged(self.path, [(begun, config)])
            return begun
        check_free(self.path, self.config.is_file())
        return config

    @staticmethod
    def resumable(path):
        """The `TrainingConfig` in a file, or a `ValueError` where version 0.1 wrote it."""
        config = TrainingConfig.read(path)
        if not isinstance(config, TrainingConfig):
            raise ValueError(
                f"A training that version 0.1 began cannot be resumed, though its segmenter can be used. "
                f"Received: {str(path)!r}"
            )
        return config

    def begin(self, config, class_names):
        """Makes the folder and writes the settings and the classes' names into it."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.classes, "".join(f"{name}\n" for name in class_names))
        write_text(self.config, config.to_json())

    def read_class_names(self):
        """The classes' names in the order of their ids, or None where they were not written."""
        if not self.classes.is_file():
            return None
        return tuple(map(normal_name, read_text(self.classes, "The list").splitlines()))

    def completed_epochs(self):
        """How many epochs an unfinished training has behind it."""
        path = self.backup / "training_metadata.json"
        if not path.is_file():
            return 0
        try:
            return json.loads(path.read_text(encoding="utf-8"))["epoch"]
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"The checkpoint in {str(self.backup)!r} is damaged: remove that folder to train anew."
            ) from error

    def drop_backup(self):
        """Removes the checkpoints of a training that is done."""
        shutil.rmtree(self.backup, ignore_errors=True)

    def write_segmenter(self, segmenter):
        """Saves the segmenter, whole or not at all."""
        with atomic_write(self.segmenter) as draft:
            segmenter.save(draft)

    def write_scores(self, scores):
        """Saves the scores."""
        write_text(self.scores, json.dumps(dataclasses.asdict(scores), indent=2) + "\n")

    def read_scores(self):
        """The scores as a dict, or None where there are none yet."""
        return json.loads(self.scores.read_text(encoding="utf-8")) if self.scores.is_file() else None


def segmenter_file(path):
    """The `.keras` file that `path` means, or an error that says what `path` should be."""
    path = pathlib.Path(path)
    if path.is_dir():
        run = RunFolder(path)
        if not run.config.is_file():
            raise FileNotFoundError(
                f"{str(path)!r} must be a run folder of `keras-wsseg train`. Received: none"
            )
        if not run.segmenter.is_file():
            raise FileNotFoundError(
                f"The training in {str(path)!r} must have come to its end: go on with --resume. "
                "Received: no segmenter.keras"
            )
        return run.segmenter
    if not path.is_file():
        raise FileNotFoundError(f"There must be a run folder or file of that name. Received: {str(path)!r}")
    if path.suffix.lower() != ".keras":
        raise ValueError(f"A segmenter must be a run folder, .keras or .onnx. Received: {str(path)!r}")
    return path


def check_free(path, begun):
    """Raises `FileExistsError` where no training can begin, since there is one or something else."""
    if begun:
        raise FileExistsError(
            f"There is a training in {str(path)!r} already: resume it (--resume), or choose another folder."
        )
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{str(path)!r} is a file: choose another folder for the training.")
    if path.exists() and any(path.iterdir()):
        raise FileExistsError(
            f"The folder {str(path)!r} holds other things: choose another one for the training."
        )


def check_unchanged(path, pairs):
    """Raises `ValueError` where a training was begun with other values than those given now, or None."""
    changed = [name for begun, now in pairs if now is not None for name in changed_settings(begun, now)]
    if changed:
        names = ", ".join(dict.fromkeys(changed))
        raise ValueError(f"The training in {str(path)!r} was begun with other values of {names}.")


def changed_settings(begun, now):
    """Names of the options in which two `TrainingConfig` differ; a part of another class is one of them."""
    return _differing("", *(json.loads(config.to_json()) for config in (begun, now)))


def _differing(prefix, before, after):
    names = []
    for name in (name for name in {**before, **after} if before.get(name) != after.get(name)):
        (kind, one), (other_kind, other) = (_inner(name, table.get(name)) for table in (before, after))
        inside = _differing(f"{prefix}{name}.", one, other) if kind and kind == other_kind else []
        names += inside or [f"{prefix}{name}"]
    return names


def _inner(name, value):
    """The class of a part and its arguments, or the classes of a loss and its terms by name."""
    if name == "loss":
        return [term["class_name"] for term in value], {term_name(term["class_name"]): term for term in value}
    return (
        (value["class_name"], value["config"])
        if isinstance(value, dict) and "class_name" in value
        else (None, None)
    )


def load_model(path, called=None):
    """The Keras model of a finished training.

    Args:
        path: a run folder or a `.keras` file.
        called: what the error calls it; by default the file.

    Raises:
        FileNotFoundError: if there is no such file, or the training in the folder is not finished.
        ValueError: if it is no Keras model.
    """
    file = segmenter_file(path)
    import keras

    # Registers the layers of which segmenters are made.
    import keras_wsseg.models  # noqa: F401

    try:
        return keras.saving.load_model(file, compile=False)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        called = repr(str(file)) if called is None else called
        raise ValueError(f"{called} must be a whole Keras model. Received: {said}") from error


def write_text(path, text):
    """Writes a text file, whole or not at all."""
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")
