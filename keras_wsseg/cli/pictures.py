"""Picture files on the command line, and where what is made of them goes."""

import glob
import os
import pathlib
import unicodedata

from keras_wsseg.imaging.file_names import is_hidden, normal_name, picture_name, spelled_on_disk
from keras_wsseg.imaging.suffixes import PICTURE_SUFFIXES


def find_pictures(inputs, recursive=False, suffixes=PICTURE_SUFFIXES, leave_out=None):
    """The picture files that were meant, each once, in the order given.

    Args:
        inputs: names of pictures, folders of them, or patterns.
        recursive: whether the folders within folders count too.
        suffixes: of the files that are taken out of folders.
        leave_out: None, or a folder that is not looked into where it lies within another.

    Returns:
        dict from path to place: the picture's name without suffix, after the folders that it lies in below
        the one that was given, in normal form.

    Raises:
        FileNotFoundError: if one of them means no picture.
    """
    found = []
    for text in inputs:
        path = spelled_on_disk(text)
        if path.is_dir():
            inside = _inside(path, recursive, suffixes, leave_out)
            if not inside:
                hint = "" if recursive else " (folders within it: --recursive)"
                raise FileNotFoundError(
                    f"A folder of pictures must hold at least one{hint}. Received: {text!r}"
                )
            found += [(one, _place(one.relative_to(path))) for one in inside]
        elif path.is_file():
            found.append((path, pathlib.Path(picture_name(path))))
        else:
            # Letters with marks may be written in either form, on the disk and in the pattern.
            forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
            names = {one for form in forms for one in glob.glob(form, recursive=True)}
            matches = sorted(filter(os.path.isfile, names))
            if not matches:
                raise FileNotFoundError(f"INPUT must be a picture, a folder or a pattern. Received: {text!r}")
            found += [(pathlib.Path(one), pathlib.Path(picture_name(one))) for one in matches]
    once = {}
    for path, place in found:
        once.setdefault(path.resolve(), (path, place))
    return dict(once.values())


def check_out(out, pictures, made, folders=()):
    """Files named after the pictures must go where no picture lies, and no two into one file.

    Args:
        out: folder that is written to, a path.
        pictures: dict from the pictures' paths to their places in `out`, as `find_pictures` gives it.
        made: what is named after them, such as `"masks"`.
        folders: sub-folders of `out` that are written to as well.

    Raises:
        FileExistsError: if `out` is a file.
        ValueError: if a picture would be overwritten, or two pictures have one place.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out must be a folder. Received: {str(out)!r}")
    by_target = {}
    for folder in ("", *folders):
        for path, place in pictures.items():
            other = by_target.setdefault(out.resolve() / folder / place, path)
            if other != path:
                raise ValueError(
                    f"Pictures must differ in name, since {made} are named after them. "
                    f"Received: {other} and {path}"
                )
    written = {target.parent for target in by_target}
    if any(path.resolve().parent in written for path in pictures):
        raise ValueError(f"--out must be another folder than that of the pictures. Received: {str(out)!r}")


def _place(path):
    return pathlib.Path(normal_name(str(path.parent))) / picture_name(path)


def _inside(folder, recursive, suffixes, leave_out):
    found = []
    for top, folders, files in os.walk(folder, onerror=_raise):
        here = pathlib.Path(top)
        found += [
            here / name
            for name in files
            if not is_hidden(name) and pathlib.Path(name).suffix.lower() in suffixes
        ]
        within = [name for name in folders if not is_hidden(name)]
        if leave_out is not None:
            within = [name for name in within if (here / name).resolve() != leave_out.resolve()]
        folders[:] = sorted(within) if recursive else []
    return sorted(found)


def _raise(error):
    raise error
