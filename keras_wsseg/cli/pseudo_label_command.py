"""`keras-wsseg pseudo-label`."""

import pathlib

import numpy as np

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import check_data_folder
from keras_wsseg.cli.label_folder import label_folder, say_how_to_train
from keras_wsseg.cli.options import add_command
from keras_wsseg.cli.refine import add_crf_options, refined
from keras_wsseg.cli.segmenters import check_channels, load_segmenter, numbered_classes
from keras_wsseg.imaging.file_names import is_hidden, normal_name, without_image_suffix
from keras_wsseg.training.config import TrainingConfig
from keras_wsseg.training.run_folder import RunFolder, segmenter_file, write_text

_DESCRIPTION = """
Labels every pixel of images whose tags are known, so that a second segmenter learns from these labels as if
they had been drawn. No image gets a class that it is not tagged with, however sure the first segmenter is
of it. It needs a segmenter, for instance one of train --recipe rrm, and a folder with images/ and tags.csv.

train does not read images that lie in a folder for each class: of these (--tags folders) a data folder is
made in --out, with images/, pseudo/ and classes.txt.
"""

_EXAMPLE = """
keras-wsseg pseudo-label runs/voc voc --crf dense
keras-wsseg train voc --data.annotation pseudo --loss none --segmenter DeepLabV3Plus --out runs/voc-pseudo
keras-wsseg pseudo-label runs/pets pets --tags folders --out ../pets-second --confidence 0.7
"""

_FOLDERS = "folders"
_PSEUDO = "pseudo"
_SECOND = "--loss none --segmenter DeepLabV3Plus"


def add_to(commands):
    """Adds the command."""
    parser = add_command(
        commands, "pseudo-label", "label images of known tags for a second training", _DESCRIPTION, _EXAMPLE
    )
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder, .keras file or .onnx file")
    parser.add_argument("data", metavar="DATA", help="folder with images/ and tags")
    parser.add_argument(
        "--out",
        default=_PSEUDO,
        metavar="DIR",
        help="sub-folder of DATA for the label maps, NAME.png for each image, or an absolute path where "
        f"DATA is not to be written to; train takes either as --data.annotation (default: {_PSEUDO})",
    )
    parser.add_argument(
        "--tags",
        metavar="TAGS",
        help="a .csv file of images and their tags; folders: a sub-folder of images for each class; or "
        "a sub-folder of label maps, whose classes are the tags (default: as of the run folder, else "
        "tags.csv)",
    )
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="list of the images, NAME.txt in DATA; none: all that have tags (default: as of the run "
        "folder, else train, where there is such a list)",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.0,
        metavar="P",
        help="pixels whose class is less probable than this stay unlabeled, 255 (default: 0)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace label maps of the same names that lie in --out"
    )
    add_crf_options(parser)
    parser.set_defaults(run=run)


def run(arguments):
    """Labels all images that can be, says what to type next, then lists the rest."""
    from keras_wsseg.annotations import PADDING, UNLABELED, write_label_map

    root = pathlib.Path(arguments.data)
    tags, split = _chosen(arguments, root)
    check_data_folder(root, images=tags != _FOLDERS)
    if not 0 <= arguments.confidence <= 1:
        raise ValueError(f"--confidence must be from 0 to 1. Received: {arguments.confidence}")
    out = label_folder(root, arguments.out, () if tags == _FOLDERS else (tags,), arguments.force)
    if tags == _FOLDERS and root.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(
            "--out must lie outside of a DATA in which each folder is a class, as ../NAME or an absolute "
            f"path does. Received: {arguments.out!r}"
        )
    segmenter = load_segmenter(arguments.segmenter)
    check_channels(segmenter)
    tagged = _Tagged(segmenter)
    labeler = refined(tagged, arguments)
    files = _image_files(root, tags)
    folder, failed = _open(root, tags, split, files, segmenter)
    rows, class_names = _rows_of(segmenter, folder, root)
    maps = out / _PSEUDO if tags == _FOLDERS else out
    maps.mkdir(parents=True, exist_ok=True)
    counts, labeled = np.zeros(2, int), []
    for index, name in console.progress("labeling")(list(enumerate(folder.names))):
        try:
            image, known = folder.load(index)
            tagged.present = rows[index]
            labels = _label(labeler.probabilities(image), known, arguments.confidence)
            write_label_map(maps / f"{name}.png", labels, segmenter.palette)
        except Exception as error:
            # Whatever a decoder, a backend or its memory says of one image: the others shall have theirs.
            failed[files[name][0]] = error
            continue
        counts += [np.sum(labels == UNLABELED), np.sum(labels != PADDING)]
        labeled.append(name)
    left = 100 * counts[0] / max(1, counts[1])
    total = len(labeled) + len(failed)
    print(f"{len(labeled)} of {total} label maps in {maps}; {left:.1f} % of the pixels unlabeled")
    if labeled and tags == _FOLDERS:
        _make_data_folder(out, [files[name][0] for name in labeled], class_names)
        say_how_to_train(out, _PSEUDO, _SECOND)
    elif labeled:
        if failed and split is not None:
            print(f"{split}.txt names images without label map: take them out of it before you train.")
        _say_next(root, arguments.out, split, class_names)
    return console.tell_failed("labeled", failed)


class _Tagged:
    """A segmenter that gives an image no class that it is not tagged with.

    Args:
        segmenter: has `probabilities` and `value_range`.

    Attributes:
        present: the tags of the next image, `(classes,)` of 0 and 1.
    """

    def __init__(self, segmenter):
        self._segmenter, self.value_range = segmenter, segmenter.value_range
        self.present = None

    def probabilities(self, image):
        """The probabilities of the classes that are there, `(height, width, classes)` of sum 1."""
        there = self._segmenter.probabilities(image) * self.present
        total = there.sum(axis=-1, keepdims=True)
        # Of a net that is sure of an absent class, float32 may have left nothing for the others.
        alike = np.broadcast_to(self.present / self.present.sum(), there.shape).copy()
        return np.divide(there, total, out=alike, where=total > 0)


def _chosen(arguments, root):
    """Where the tags come from, and the list of images or None."""
    config = _settings(arguments.segmenter)
    tags = arguments.tags
    if tags is None:
        tags = "tags.csv" if config is None else config.data["config"].get("tags", "tags.csv")
    if arguments.split is not None:
        return tags, None if arguments.split.lower() == "none" else arguments.split
    split = "train" if config is None else config.data["config"]["split"]
    return tags, split if split is not None and (root / f"{split}.txt").is_file() else None


def _settings(path):
    """The settings that a segmenter was trained with, or None where they are not at hand."""
    if pathlib.Path(path).suffix.lower() == ".onnx":
        return None
    run = RunFolder(segmenter_file(path).parent)
    return TrainingConfig.read(run.config) if run.config.is_file() else None


def _image_files(root, tags):
    """The paths of each image by its name."""
    from keras_wsseg.data.listing import files_of_folders

    if tags != _FOLDERS:
        return files_of_folders(root, ("images",))
    folders = [path.name for path in sorted(root.iterdir()) if path.is_dir() and not is_hidden(path.name)]
    named = _listed_classes(root)
    if named is not None:
        folders = [name for name in folders if normal_name(name) in (*named, "background")]
    return files_of_folders(root, folders)


def _listed_classes(root):
    from keras_wsseg.data.listing import read_lines

    path = root / "classes.txt"
    return tuple(read_lines(path)) if path.is_file() else None


def _open(root, tags, split, files, segmenter):
    """The tagged images that can be read, and a dict from the paths of the others to the reason."""
    from keras_wsseg.data import TagFolder
    from keras_wsseg.data.image_format import inspect_files
    from keras_wsseg.data.listing import listed_names
    from keras_wsseg.imaging.read_image import inspect_image

    def reason(path):
        try:
            inspect_image(path, segmenter.value_range)
        except ValueError as error:
            return console.single_line(error)

    names = listed_names(root, split, None)[0] or _tagged_names(root, tags, files)
    paths = [(name, path) for name in names for path in files.get(name, ())]
    reasons = inspect_files(lambda one: reason(one[1]), paths)
    failed = {name: (path, said) for (name, path), said in zip(paths, reasons, strict=True) if said}
    chosen = {"split": split}
    if failed:
        chosen = {"names": [name for name in names if name not in failed]}
        if not chosen["names"]:
            said = next(words for _, words in failed.values())
            raise ValueError(f"None of the {len(failed)} images can be labeled, the first since: {said}")
    # The ids of label maps are those of the segmenter where nothing else is said of them.
    of_maps = tags != _FOLDERS and not tags.lower().endswith(".csv")
    folder = TagFolder(
        root,
        tags,
        class_names=segmenter.class_names if of_maps and _listed_classes(root) is None else None,
        color_mode="grayscale" if segmenter.channels == 1 else "rgb",
        value_range=segmenter.value_range,
        **chosen,
    )
    return folder, dict(failed.values())


def _tagged_names(root, tags, files):
    from keras_wsseg.annotations import read_tags
    from keras_wsseg.data.listing import files_by_stem
    from keras_wsseg.imaging.suffixes import LABEL_SUFFIXES

    if tags == _FOLDERS:
        return list(files)
    if not tags.lower().endswith(".csv"):
        return list(files_by_stem(root, tags, LABEL_SUFFIXES))
    return sorted({*map(without_image_suffix, read_tags(root / tags, _listed_classes(root))[0])})


def _rows_of(segmenter, folder, root):
    """The tags in the order of the segmenter's classes `(len, classes)`, and the names of these."""
    known, tagged = tuple(map(normal_name, segmenter.class_names)), folder.class_names
    if known == numbered_classes(len(known)):
        # Nobody named the classes of this segmenter; more than their number cannot be compared.
        fits, known = len(known) == len(tagged), tagged if len(known) == len(tagged) else known
    elif _listed_classes(root) is not None:
        fits = known == tagged
    else:
        # Images to be labeled later need not show every class.
        fits = known[0] == tagged[0] and set(tagged) <= set(known)
    if not fits:
        raise ValueError(
            f"The classes of the tags must be those of the segmenter, {', '.join(known)}. "
            f"Received: {', '.join(tagged)}"
        )
    rows = np.zeros((len(folder), len(known)), np.float32)
    rows[:, [known.index(name) for name in tagged]] = folder.tags
    return rows, known


def _label(probabilities, known, confidence):
    """The most probable classes `(height, width)`, 255 where they are not probable enough."""
    from keras_wsseg.annotations import PADDING, UNLABELED

    labels = np.argmax(probabilities, axis=-1)
    labels[np.max(probabilities, axis=-1) < confidence] = UNLABELED
    labels[known == PADDING] = PADDING
    return labels


def _make_data_folder(out, images, class_names):
    from keras_wsseg.data.linking import link_file

    (out / "images").mkdir(exist_ok=True)
    for path in images:
        link_file(path, out / "images" / path.name)
    write_text(out / "classes.txt", "".join(f"{name}\n" for name in class_names))


def _say_next(root, annotation, split, class_names):
    options = _SECOND
    if split not in (None, "train"):
        options += f" --data.split {split}"
    elif split is None and (root / "val.txt").is_file() and not (root / "train.txt").is_file():
        options += " --data.split none"
    if not (root / "classes.txt").is_file():
        lines = ", ".join(class_names)
        print(f"There is no classes.txt in {root}: make one of these names, one a line: {lines}")
    say_how_to_train(root, annotation, options)
