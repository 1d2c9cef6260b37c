"""The folder of a SavedModel: what it may replace, and how the old one is replaced."""

import os
import pathlib

# All that the writers of TensorFlow and Keras put into one.
CONTENTS = {
    "assets",
    "assets.extra",
    "fingerprint.pb",
    "keras_metadata.pb",
    "saved_model.pb",
    "saved_model.pbtxt",
    "variables",
}


def check_saved_model(path):
    """Rejects a path that a SavedModel must not replace.

    Args:
        path: folder to write.

    Raises:
        ValueError: if it is a file, or a folder that contains anything but a SavedModel.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        others = [name for name in names if name not in CONTENTS]
        if not others and names and not {"saved_model.pb", "saved_model.pbtxt"} & set(names):
            others = names
        if others:
            raise ValueError(
                "`path` must be a new folder, or one that contains a SavedModel and nothing else. "
                f"Received: path={path} which holds {others[0]}"
            )
    elif path.exists() or path.is_symlink():
        raise ValueError(f"`path` must be a folder for a SavedModel. Received: path={path} which is a file")


def replace_folder(draft, path):
    """Replaces a folder by another one; the old one is moved away first and restored if that fails.

    Args:
        draft: new folder, inside a temporary folder on the same disk, with which the old one is deleted.
        path: folder to replace.
    """
    draft, path = pathlib.Path(draft), pathlib.Path(path)
    old = draft.with_name("old")
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(draft, path)
    except BaseException:
        if old.exists():
            os.rename(old, path)
        raise
