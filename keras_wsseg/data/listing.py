"""Which files of a data folder belong together."""

import os
import pathlib

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def files_by_stem(root, folder, suffixes):
    """The files of a sub-folder by their name without extension.

    Args:
        root: the data folder, a `pathlib.Path`.
        folder: name of the sub-folder.
        suffixes: extensions to look at, lower case with the dot.

    Returns:
        dict from stem to path, sorted by stem.

    Raises:
        FileNotFoundError: there is no such folder; the error tells which there are.
        ValueError: the folder has no such file, or two that differ in the extension only.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"`root` must be a folder. Received: root={str(root)!r}")
    place = root / folder
    if not place.is_dir():
        there = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        raise FileNotFoundError(
            f"{str(root)!r} must have a folder {folder!r}. Received: only {', '.join(there) or 'files'}"
        )
    found = {}
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise ValueError(
                    f"{str(place)!r} must have one file of each name. "
                    f"Received: {found[path.stem].name} and {path.name}"
                )
            found[path.stem] = path
    if not found:
        raise ValueError(
            f"{str(place)!r} must hold files with one of the extensions {', '.join(suffixes)}. Received: none"
        )
    return found


def read_lines(path):
    """Lines of a text file, without blanks around them and without empty ones.

    Args:
        path: the file, UTF-8.

    Returns:
        list of strings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not text, or has no line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"A list must be there as a file. Received: {str(path)!r}")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"The list {str(path)!r} must be UTF-8 text. Received: {error}") from error
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError(f"The list {str(path)!r} must have at least one line. Received: an empty list")
    return lines


def select_names(root, split, names, images, annotations, folder):
    """The names to use, each with an image and an annotation.

    Args:
        root, split, names: as of `SegmentationFolder`.
        images, annotations: from `files_by_stem`.
        folder: what the annotations' folder is called.

    Returns:
        tuple of names, in the order of the list, else sorted.

    Raises:
        FileNotFoundError: a name has no image or no annotation, or a list is missing.
        ValueError: both `split` and `names` are given, or nothing is left.
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
        for name, path in annotations.items():
            if name not in images:
                raise FileNotFoundError(
                    f"The annotation {str(path)!r} must have a picture of its name in "
                    f"{str(root / 'images')!r}. Received: none"
                )
        return tuple(annotations)
    names = tuple(str(name) for name in names)
    if not names:
        raise ValueError(f"{origin} must have at least one name. Received: an empty list")
    _check_files(names, origin, root / "images", images)
    _check_files(names, origin, root / folder, annotations)
    return names


def select_unlabelled(root, split, images, annotated):
    """The names of pictures that need no annotation.

    Args:
        root, images: as of `select_names`.
        split: take the names from `root/<split>.txt`, or None for none.
        annotated: the names of the annotated pictures.

    Returns:
        tuple of names, in the order of the list.

    Raises:
        FileNotFoundError: a name has no image, or the list is missing.
        ValueError: the list is empty, or names an annotated picture or a picture twice.
    """
    if split is None:
        return ()
    path = root / f"{split}.txt"
    names, origin, known = tuple(read_lines(path)), f"the list {str(path)!r}", set(annotated)
    for name in names:
        if name in known:
            raise ValueError(
                f"Every name of {origin} must be there once, and not among the annotated pictures. "
                f"Received: {name!r}"
            )
        known.add(name)
    _check_files(names, origin, root / "images", images)
    return names


def _check_files(names, origin, place, files):
    for name in names:
        if name not in files:
            raise FileNotFoundError(
                f"Every name of {origin} must have a file in {str(place)!r}. "
                f"Received: {name!r}, which has none"
            )
