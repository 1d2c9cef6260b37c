"""Folders of label maps that a command writes, and the training that learns from them."""

import pathlib
import shlex

from keras_wsseg.cli import console


def label_folder(data, name, sources, force):
    """Where label maps go: not where a source lies, and in place of others only where that was asked for.

    Args:
        data: the data folder.
        name: `--out` as typed: a sub-folder of `data`, or an absolute path.
        sources: sub-folders of `data` that hold annotations, beside images/ and labels/.
        force: whether files that are there may be replaced.

    Returns:
        The path; nothing is made there yet.

    Raises:
        FileExistsError: if it is a file, or holds files already.
        ValueError: if it is a source.
    """
    data = pathlib.Path(data)
    out = data / name
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out must be a folder. Received: {str(out)!r}")
    if out.resolve() in {(data / source).resolve() for source in (".", "images", "labels", *sources)}:
        raise ValueError(
            "--out must be another folder than those of images, annotations and dense labels. "
            f"Received: {name!r}"
        )
    if out.is_dir() and any(out.iterdir()) and not force:
        raise FileExistsError(
            f"There are files in {str(out)!r} already: choose another --out, or add --force to replace them."
        )
    return out


def say_how_to_train(data, annotation, options="--loss none"):
    """Prints the command that trains on label maps.

    Args:
        data: the data folder.
        annotation: the folder of label maps: a sub-folder of `data`, or an absolute path.
        options: further words of the command.
    """
    run = f"runs/{pathlib.Path(data).resolve().name}-{pathlib.Path(annotation).name}"
    words = f"train {shlex.quote(str(data))} --data.annotation {shlex.quote(str(annotation))} {options}"
    print("Next, train on them:")
    print(f"  {console.own_command()} {words} --out {shlex.quote(run)}")
