"""Several classes from folders of images: one net per class, their masks as labels, one segmenter of all."""

import logging
import pathlib
import types

import keras
import numpy as np

from keras_wsseg.annotations import read_label_map, write_label_map
from keras_wsseg.data import ClassFolders
from keras_wsseg.data.linking import link_file
from keras_wsseg.data.listing import files_by_stem, read_lines
from keras_wsseg.imaging.read_image import read_image
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES, LABEL_SUFFIXES
from keras_wsseg.training.build import build_loss, build_model, build_validation_data
from keras_wsseg.training.evaluation import check_groups, class_map
from keras_wsseg.training.run_folder import RunFolder, check_free, check_unchanged, write_text
from keras_wsseg.training.trainer import train

PSEUDO = "pseudo"

_LEAST = 0.01


class ClassByClassFolder:
    """Where a class-by-class training keeps what it makes.

    ```
    nets.json, final.json   the settings of the nets and of the segmenter of all classes
    nets/<class>/           the run folder of each net
    dataset/                images/, the nets' masks in pseudo/, lists: a data folder to train on
    segmenter/              the run folder of the segmenter of all classes
    ```

    Args:
        path: the folder; it need not exist.

    Example:
        >>> ClassByClassFolder("runs/pets").segmenter.segmenter.name
        'segmenter.keras'
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.settings = {name: self.path / f"{name}.json" for name in ("nets", "final")}
        self.dataset = self.path / "dataset"
        self.segmenter = RunFolder(self.path / "segmenter")

    def net(self, class_name):
        """The `RunFolder` of one class's net."""
        return RunFolder(self.path / "nets" / class_name)

    @property
    def begun(self):
        """Whether there is a training here."""
        return all(path.is_file() for path in self.settings.values())

    def read(self):
        """The settings of the nets and of the segmenter, two `TrainingConfig`."""
        return tuple(RunFolder.resumable(path) for path in self.settings.values())

    def begin(self, nets, final):
        """Makes the folder and writes the settings."""
        self.path.mkdir(parents=True, exist_ok=True)
        for path, config in zip(self.settings.values(), (nets, final), strict=True):
            write_text(path, config.to_json())


def train_class_by_class(nets, final, folder, resume=False, verbose="auto", progress=None, on_stage=None):
    """Trains a segmenter of several classes from folders of images, without a labeled pixel.

    One net per class learns from the images in its folder, with those of the other folders as images known
    not to hold it. Its mask labels the images that lie in its folder alone: the object with that class, the
    rest background. On these labels the segmenter of all classes is trained. What is finished already is not
    done again.

    Args:
        nets: `TrainingConfig` of the nets, from the recipe `single-class`; `data.root` is the folder that
            holds `positives/<class>/`, and `negatives/` with images that hold none of the classes where there
            are any (see `data.ClassFolders`). `positives`, `negatives` and the lists are set here.
        final: `TrainingConfig` of the segmenter, with any loss that trains on labels; `data` is set here. It
            is scored where `data.root` has images/, labels/ and val.txt; ids in labels/ are 0 for the
            background, then the classes in the order of classes.txt, or of their names where there is none.
        folder: path of the folder for everything, see `ClassByClassFolder`.
        resume: go on where an interrupted training in `folder` stopped.
        verbose: as in `model.fit`.
        progress: wraps iterables of images, to show progress.
        on_stage: called with a line that says what begins.

    Returns:
        The `RunFolder` of the segmenter.

    Raises:
        FileExistsError, FileNotFoundError: if there is a training and it is not to be resumed, or none to
            resume.
        ValueError: if it was begun with other settings, or the settings or data do not fit.

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", ECCV,
    the multi-class experiment on PASCAL VOC.
    """
    run = ClassByClassFolder(folder)
    nets, final = _settings(run, nets, final, resume)
    say = on_stage or (lambda line: None)
    value_range = nets.data["config"]["value_range"]
    classes = ClassFolders(nets.root, value_range=value_range)
    labeled = {stem: class_name for class_name, stem, _ in classes.single_class_images()}
    for name in classes.class_names:
        if name not in labeled.values():
            raise ValueError(
                "every class must have an image that lies in its folder alone, to learn labels from. "
                f"Received: none of {name!r}"
            )
    validation = _validation_images(nets.root, set(labeled))
    changes = {
        "data.root": str(run.dataset.resolve()),
        "data.annotation": PSEUDO,
        "data.split": "train",
        "data.value_range": final.data["config"]["value_range"] or value_range,
        **({"validation.split": "val"} if validation else {"validation": None}),
    }
    last = final.replace(changes)
    _check_parts(last, nets.root, classes, validation)
    run.begin(nets, final)
    names = list(classes.class_names)
    for number, name in enumerate(names, 1):
        net = run.net(name)
        say(f"Net {number} of {len(names)}: {name}" + (" (there already)" if net.finished else ""))
        negatives = [f"positives/{other}" for other in names if other != name]
        negatives += ["negatives"] * (pathlib.Path(nets.root) / "negatives").is_dir()
        one = nets.replace(
            {
                "data.positives": [f"positives/{name}"],
                "data.negatives": negatives,
                "data.object_name": name,
                "data.split": None,
                "validation": None,
            }
        )
        train(one, net.path, resume=net.config.is_file(), verbose=verbose)
    say("Labels out of the nets' masks")
    _write_dataset(run, classes, validation, progress)
    say(f"Segmenter of {len(names)} classes")
    return train(last, run.segmenter.path, run.segmenter.config.is_file(), verbose, progress)


def _settings(run, nets, final, resume):
    if not resume:
        check_free(run.path, run.begun)
    elif not run.begun:
        raise FileNotFoundError(f"There is no training to resume in {str(run.path)!r}.")
    else:
        begun = run.read()
        check_unchanged(run.path, zip(begun, (nets, final), strict=True))
        nets, final = begun
    if not nets.single_class:
        raise ValueError(f"nets must have a SingleClassLoss. Received: {', '.join(nets.terms)}")
    if final.data["class_name"] != "SegmentationFolder" or final.data["config"]["annotation"] == "labels":
        raise ValueError(
            "final must learn from weak labels, as the recipe scribbles does. "
            f"Received: {final.data['class_name']}, annotation={final.data['config'].get('annotation')!r}"
        )
    if final.data["config"]["values"]:
        raise ValueError(
            "final cannot have data.values, since the labels it learns from are written here "
            "(validation.values are for those that it is scored on). "
            f"Received: data.values={final.data['config']['values']!r}"
        )
    return nets, final


def _check_parts(final, root, classes, validation):
    """Builds what the last training will need: better now than after hours of the nets."""
    check_groups(final.group_by, list(validation))
    like = types.SimpleNamespace(
        num_classes=1 + len(classes.class_names),
        class_names=("background", *classes.class_names),
        channels=classes.channels,
        value_range=final.data["config"]["value_range"] or classes.value_range,
    )
    if validation:
        build_validation_data(final.replace({"data.root": root}), like)
    build_loss(final)
    build_model(final, like)


def _validation_images(data, taken):
    """Image and label files by name, of those to score on; empty where there are none."""
    data = pathlib.Path(data)
    if not (data / "val.txt").is_file() or not (data / "labels").is_dir():
        return {}
    images = files_by_stem(data, "images", IMAGE_SUFFIXES)
    labels = files_by_stem(data, "labels", LABEL_SUFFIXES)
    found = {}
    for name in read_lines(data / "val.txt"):
        if name not in images or name not in labels:
            raise FileNotFoundError(f"{str(data)!r} must have images/{name} and labels/{name}, see val.txt.")
        if name in taken:
            raise ValueError(
                "Images of val.txt must have other names than those in the folders of the classes. "
                f"Received: {name!r}"
            )
        found[name] = (images[name], labels[name])
    return found


def _write_dataset(run, classes, validation, progress):
    members = classes.single_class_images()
    for folder in ("images", PSEUDO, *(["labels"] if validation else [])):
        (run.dataset / folder).mkdir(parents=True, exist_ok=True)
    missing = [one for one in members if not (run.dataset / PSEUDO / f"{one[1]}.png").is_file()]
    # A net at a time stays in memory.
    loaded = (None, None)
    for class_name, stem, path in progress(missing) if progress else missing:
        if loaded[0] != class_name:
            net = keras.saving.load_model(run.net(class_name).segmenter, compile=False)
            loaded = (class_name, net)
        channels = loaded[1].input_shape[-1]
        array = read_image(path, channels, classes.value_range)
        labels = class_map(loaded[1], array) * (1 + classes.class_names.index(class_name))
        write_label_map(run.dataset / PSEUDO / f"{stem}.png", labels)
    for _, _, path in members:
        link_file(path, run.dataset / "images" / path.name)
    for class_name in classes.class_names:
        _warn_of_collapse(run, class_name, [stem for name, stem, _ in members if name == class_name])
    for image, labels in validation.values():
        link_file(image, run.dataset / "images" / image.name)
        link_file(labels, run.dataset / "labels" / labels.name)
    lists = {"classes": ("background", *classes.class_names), "train": [stem for _, stem, _ in members]}
    if validation:
        lists["val"] = list(validation)
    for name, lines in lists.items():
        write_text(run.dataset / f"{name}.txt", "".join(f"{line}\n" for line in lines))


def _warn_of_collapse(run, class_name, stems):
    maps = (read_label_map(run.dataset / PSEUDO / f"{stem}.png") for stem in stems)
    share = float(np.mean([np.mean(labels > 0) for labels in maps]))
    if not _LEAST <= share <= 1 - _LEAST:
        logging.getLogger("keras_wsseg").warning(
            "%.1f %% of the pixels in the masks of %r are the object: its net has collapsed to one label; "
            "train it with a longer annealing or other weights",
            100 * share,
            class_name,
        )
