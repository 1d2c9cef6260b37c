"""The folder of a SavedModel: what may stand in its place, and how the old one gives way to the new one."""

import os
import pathlib

# All that TensorFlow's and Keras' writers leave in one.
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
    """Refuses what must not be replaced by a SavedModel.

    Args:
        path: folder to write.

    Raises:
        ValueError: if it is a file, or a folder that holds anything but a SavedModel.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        others = [name for name in names if name not in CONTENTS]
        if not others and names and not {"saved_model.pb", "saved_model.pbtxt"} & set(names):
            others = names
        if others:
            raise ValueError(
                "`path` must be a new folder, or one that holds a SavedModel and nothing else. "
                f"Received: path={path} which holds {others[0]}"
            )
    elif path.exists() or path.is_symlink():
        raise ValueError(f"`path` must be a folder for a SavedModel. Received: path={path} which is a file")


def replace_folder(draft, path):
    """Puts a folder in the place of another one, which is moved away whole and comes back if that fails.

    Args:
        draft: folder in a temporary folder on the same disk, which takes the old one with it.
        path: its place.
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
