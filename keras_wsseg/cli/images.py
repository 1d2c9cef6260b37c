"""Image files on the command line, and where what is made of them goes."""

import glob
import os
import pathlib
import unicodedata

from keras_wsseg.imaging.file_names import image_name, is_hidden, normal_name, path_on_disk
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES


def find_images(inputs, recursive=False, suffixes=IMAGE_SUFFIXES, leave_out=None):
    """The image files that were meant, each once, in the order given.

    Args:
        inputs: names of images, folders of them, or patterns.
        recursive: whether the folders within folders count too.
        suffixes: of the files that are taken out of folders.
        leave_out: None, or a folder that is not looked into where it lies within another.

    Returns:
        dict from path to place: the image's name without suffix, after the folders that it lies in below
        the one that was given, in normal form.

    Raises:
        FileNotFoundError: if one of them means no image.
    """
    found = []
    for text in inputs:
        path = path_on_disk(text)
        if path.is_dir():
            inside = _inside(path, recursive, suffixes, leave_out)
            if not inside:
                hint = "" if recursive else " (folders within it: --recursive)"
                raise FileNotFoundError(
                    f"A folder of images must hold at least one{hint}. Received: {text!r}"
                )
            found += [(one, _place(one.relative_to(path))) for one in inside]
        elif path.is_file():
            found.append((path, pathlib.Path(image_name(path))))
        else:
            # Letters with marks may be written in either form, on the disk and in the pattern.
            forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
            names = {one for form in forms for one in glob.glob(form, recursive=True)}
            matches = sorted(filter(os.path.isfile, names))
            if not matches:
                raise FileNotFoundError(f"INPUT must be an image, a folder or a pattern. Received: {text!r}")
            found += [(pathlib.Path(one), pathlib.Path(image_name(one))) for one in matches]
    once = {}
    for path, place in found:
        once.setdefault(path.resolve(), (path, place))
    return dict(once.values())


def check_out(out, images, made, folders=()):
    """Files named after the images must go where no image lies, and no two into one file.

    Args:
        out: folder that is written to, a path.
        images: dict from the images' paths to their places in `out`, as `find_images` gives it.
        made: what is named after them, such as `"masks"`.
        folders: sub-folders of `out` that are written to as well.

    Raises:
        FileExistsError: if `out` is a file.
        ValueError: if an image would be overwritten, or two images have one place.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out must be a folder. Received: {str(out)!r}")
    by_target = {}
    for folder in ("", *folders):
        for path, place in images.items():
            other = by_target.setdefault(out.resolve() / folder / place, path)
            if other != path:
                raise ValueError(
                    f"Images must differ in name, since {made} are named after them. "
                    f"Received: {other} and {path}"
                )
    written = {target.parent for target in by_target}
    if any(path.resolve().parent in written for path in images):
        raise ValueError(f"--out must be another folder than that of the images. Received: {str(out)!r}")


def _place(path):
    return pathlib.Path(normal_name(str(path.parent))) / image_name(path)


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
