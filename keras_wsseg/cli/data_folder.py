"""What a data folder offers when nothing more is said."""

import pathlib

from keras_wsseg.cli.options import given_changes
from keras_wsseg.training.config import TrainingConfig


def check_data_folder(path, images=True):
    """Raises `FileNotFoundError` where `path` is no data folder, in the words of the command line.

    Args:
        path: the folder.
        images: whether there must be a folder images/ in it.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"DATA must be a folder with images/ and annotations. Received: {str(path)!r}"
        )
    if images and not (folder / "images").is_dir():
        raise FileNotFoundError(f"DATA must have a folder images/ in it. Received: {str(path)!r}")


def changes_to(begun, arguments):
    """What was typed that a training which was begun may contradict, its data folder included."""
    changes = given_changes(arguments)
    if pathlib.Path(begun.root).resolve() != pathlib.Path(arguments.data).resolve():
        changes["data.root"] = arguments.data
    return changes


def config_for(path, recipe, changes, must_score=False):
    """The configuration of a training on a data folder, which may lack lists and dense labels.

    Args:
        path: the data folder.
        recipe: what to start from.
        changes: values by name that were typed; they are taken as they are.
        must_score: whether a training without scores is of no use.

    Returns:
        `(TrainingConfig, notes)`: the notes say in one line each what is done without.

    Raises:
        FileNotFoundError: if the folder lacks what cannot be done without.
        ValueError: if there is no such recipe, or a value is out of its range.
    """
    config = TrainingConfig.from_recipe(recipe, pathlib.Path(path).resolve(), changes)
    check_data_folder(path, images=config.data["class_name"] == "SegmentationFolder")
    folder, lists, notes = pathlib.Path(path), {}, []
    has_val = (folder / "val.txt").is_file()
    missing = "val.txt" if not has_val else None if (folder / "labels").is_dir() else "labels/"
    given = {name for name in changes if name.partition(".")[0] == "validation"}
    if config.validation is not None and missing and not must_score and not given:
        lists["validation"] = None
        notes.append(f"There is no {missing} in {path}: training without scores.")
    split = config.data["config"]["split"]
    if split == "train" and "data.split" not in changes and not (folder / "train.txt").is_file():
        if has_val:
            raise FileNotFoundError(
                f"{str(path)!r} has a val.txt and must have a train.txt too; "
                "--data.split none takes every annotated image, those of val.txt included."
            )
        lists["data.split"] = None
        notes.append(f"There is no train.txt in {path}: training on every image.")
    return config.replace(lists), notes
