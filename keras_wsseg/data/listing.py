"""Finds the files of a data folder that belong together."""

import os
import pathlib

from keras_wsseg.imaging.file_names import (
    image_name,
    is_hidden,
    normal_name,
    path_on_disk,
    without_image_suffix,
)
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES, LABEL_SUFFIXES
from keras_wsseg.imaging.text_file import read_text


def files_by_stem(root, folder, suffixes):
    """The files of a sub-folder by name without extension, in normalized form.

    Args:
        root: the data folder, a `pathlib.Path`.
        folder: name of the sub-folder.
        suffixes: extensions to consider, lower case with the dot.

    Returns:
        dict from stem to path, sorted by stem.

    Raises:
        FileNotFoundError: there is no such folder; the error lists the existing ones.
        ValueError: the folder has no such file, or two whose names differ only in the extension or in Unicode
            form.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"`root` must be a folder. Received: root={str(root)!r}")
    place = path_on_disk(root / folder)
    if not place.is_dir() and pathlib.Path(folder).is_absolute():
        raise FileNotFoundError(f"A folder of images must exist. Received: {str(place)!r}")
    if not place.is_dir():
        there = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        raise FileNotFoundError(
            f"{str(root)!r} must have a folder {str(folder)!r}. Received: only {', '.join(there) or 'files'}"
        )
    found = {}
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in suffixes and not is_hidden(path.name):
            name = image_name(path)
            if name in found:
                raise ValueError(
                    f"{str(place)!r} must have one file of each name. "
                    f"Received: {found[name].name} and {path.name}"
                )
            found[name] = path
    if suffixes == LABEL_SUFFIXES:
        _check_lossless(place, found)
    if not found:
        raise ValueError(
            f"{str(place)!r} must hold files with one of the extensions {', '.join(suffixes)}. Received: none"
        )
    return found


def _check_lossless(place, found):
    for path in sorted(place.iterdir()):
        lossy = path.suffix.lower() in {*IMAGE_SUFFIXES} - {*LABEL_SUFFIXES}
        if lossy and not is_hidden(path.name) and image_name(path) not in found:
            raise ValueError(
                f"{str(place)!r} must hold label maps as one of {', '.join(LABEL_SUFFIXES)}, "
                f"since JPEG and WebP alter ids. Received: {path.name}"
            )


def folder_list(argument, folders):
    """One folder or a sequence of them as a tuple.

    Args:
        argument: its name in the error message.
        folders: a string, a path, or a sequence of them.

    Returns:
        tuple.

    Raises:
        TypeError: it is none of them.

    Example:

    >>> folder_list("negatives", "streets")
    ('streets',)
    """
    folders = (folders,) if isinstance(folders, (str, os.PathLike)) else folders
    if not isinstance(folders, (tuple, list)) or not all(
        isinstance(one, (str, os.PathLike)) for one in folders
    ):
        raise TypeError(
            f"`{argument}` must be a folder or a sequence of them. Received: {argument}={folders!r}"
        )
    return tuple(folders)


def files_of_folders(root, folders):
    """The images of several folders by name without extension; files of the same name are one image.

    Args:
        root: the data folder, a `pathlib.Path`.
        folders: sub-folders of it, or absolute paths.

    Returns:
        dict from stem to the list of its paths, sorted by stem.

    Raises:
        FileNotFoundError, ValueError: as in `files_by_stem`.
    """
    found = [files_by_stem(root, folder, IMAGE_SUFFIXES) for folder in folders]
    return merge_files([{stem: [path] for stem, path in files.items()} for files in found])


def merge_files(listings):
    """Several dicts from stem to paths as one.

    Args:
        listings: several results of `files_of_folders`.

    Returns:
        a dict of the same form, with all paths of each stem, sorted by stem.

    Example:

    >>> merge_files([{"b": ["1/b.png"]}, {"a": ["2/a.png"], "b": ["2/b.png"]}])
    {'a': ['2/a.png'], 'b': ['1/b.png', '2/b.png']}
    """
    merged = {}
    for files in listings:
        for stem, paths in files.items():
            merged.setdefault(stem, []).extend(paths)
    return dict(sorted(merged.items()))


def read_lines(path):
    """The non-empty lines of a text file, stripped and in normalized form.

    Args:
        path: the file, in UTF-8 or the encoding of its byte order mark.

    Returns:
        list of strings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not text, or has no line.
    """
    lines = [normal_name(line.strip()) for line in read_text(path, "The list").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError(f"The list {str(path)!r} must have at least one line. Received: an empty list")
    return lines


def select_names(root, split, names, images, annotations, folder):
    """The names to use, each with an image and an annotation.

    Args:
        root, split, names: as in `SegmentationFolder`.
        images, annotations: from `files_by_stem`.
        folder: name of the annotations' folder.

    Returns:
        tuple of names, in the order of the list, else sorted.

    Raises:
        FileNotFoundError: a name has no image or no annotation, or a list is missing.
        ValueError: both `split` and `names` are given, or nothing is left.
    """
    names, origin = listed_names(root, split, names, images)
    if names is None:
        for name, path in annotations.items():
            if name not in images:
                raise FileNotFoundError(
                    f"The annotation {str(path)!r} must have an image of its name in "
                    f"{str(root / 'images')!r}. Received: none"
                )
        return tuple(annotations)
    require_files(names, origin, root / "images", images)
    require_files(names, origin, root / folder, annotations)
    return names


def listed_names(root, split, names, files=()):
    """The requested names.

    Args:
        root, split, names: as in `SegmentationFolder`.
        files: from `files_by_stem`; a name with an image suffix that is not among them refers to the name
            without it, if that is.

    Returns:
        `(names, origin)`: a tuple, or None for all, and the name of the list for error messages.

    Raises:
        FileNotFoundError: the list is missing.
        ValueError: both `split` and `names` are given, there is no name, or one occurs twice.
    """
    if split is not None and names is not None:
        raise ValueError(
            f"`split` and `names` must not both be given. Received: split={split!r}, names={names!r}"
        )
    origin = "`names`"
    if split is not None:
        names = root / f"{split}.txt"
    if isinstance(names, (str, os.PathLike)):
        origin = f"the list {str(names)!r}"
        names = read_lines(names)
    if names is None:
        return None, origin
    names = tuple(_name_among(normal_name(str(name)), files) for name in names)
    if not names:
        raise ValueError(f"{origin} must have at least one name. Received: an empty list")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{origin} must name each image once. Received: {twice!r} twice")
    return names, origin


def select_unlabeled(root, split, images, annotated):
    """The names of images that need no annotation.

    Args:
        root, images: as in `select_names`.
        split: use the names in `root/<split>.txt`, or None for none.
        annotated: the names of the annotated images.

    Returns:
        tuple of names, in the order of the list.

    Raises:
        FileNotFoundError: a name has no image, or the list is missing.
        ValueError: the list is empty, or names an annotated image or an image twice.
    """
    if split is None:
        return ()
    path = root / f"{split}.txt"
    names = tuple(_name_among(name, images) for name in read_lines(path))
    origin, known = f"the list {str(path)!r}", set(annotated)
    for name in names:
        if name in known:
            raise ValueError(
                f"Every name of {origin} must occur once, and not among the annotated images. "
                f"Received: {name!r}"
            )
        known.add(name)
    require_files(names, origin, root / "images", images)
    return names


def _name_among(name, files):
    bare = without_image_suffix(name)
    return bare if name not in files and bare in files else name


def require_files(names, origin, place, files):
    """Raises `FileNotFoundError` for the first of the names that is not among the files of a place."""
    for name in names:
        if name not in files:
            raise FileNotFoundError(
                f"Every name of {origin} must have a file in {str(place)!r}. "
                f"Received: {name!r}, which has none"
            )
