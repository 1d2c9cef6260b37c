"""What a data folder offers when nothing more is said."""

import pathlib

from keras_wsseg.training.config import TrainingConfig

WITHOUT_LABELS = {
    "single-class": "image of the object",
    "tags-prior": "image with tags",
    "rrm": "image with tags",
}
"""The methods that find their images in folders of any name, and what these are."""


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


def settings_for(path, given, must_score=False):
    """The settings of a training on a data folder, which may lack lists and dense labels.

    Args:
        path: the data folder.
        given: settings by name that were typed; they are taken as they are.
        must_score: whether a training without scores is of no use.

    Returns:
        `(TrainingConfig, notes)`: the notes say in one line each what is done without.

    Raises:
        FileNotFoundError: if the folder lacks what cannot be done without.
        ValueError: if a setting is out of its range.
    """
    method = given.get("method")
    check_data_folder(path, images=method not in WITHOUT_LABELS)
    folder, splits, notes = pathlib.Path(path), {}, []
    has_val = (folder / "val.txt").is_file()
    missing = "val.txt" if not has_val else None if (folder / "labels").is_dir() else "labels/"
    if "val_split" not in given and missing and not must_score:
        splits["val_split"] = None
        notes.append(f"There is no {missing} in {path}: training without scores.")
    if "train_split" not in given and not (folder / "train.txt").is_file():
        if has_val:
            raise FileNotFoundError(
                f"{str(path)!r} has a val.txt and must have a train.txt too; "
                "--train-split none takes every annotated image, those of val.txt included."
            )
        splits["train_split"] = None
        every = WITHOUT_LABELS.get(method, "annotated image")
        notes.append(f"There is no train.txt in {path}: training on every {every}.")
    return TrainingConfig(data=str(folder.resolve()), **{**splits, **given}), notes
