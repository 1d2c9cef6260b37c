"""Picture files on the command line, and where what is made of them goes."""

import glob
import os
import pathlib

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def find_pictures(inputs):
    """The picture files that were meant, each once, in the order given.

    Args:
        inputs: names of pictures, folders of them, or patterns.

    Returns:
        list of paths.

    Raises:
        FileNotFoundError: if one of them means no picture.
    """
    found = []
    for text in inputs:
        path = pathlib.Path(text)
        if path.is_dir():
            inside = [one for one in sorted(path.iterdir()) if one.suffix.lower() in _SUFFIXES]
            if not inside:
                raise FileNotFoundError(f"A folder of pictures must hold at least one. Received: {text!r}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            matches = sorted(one for one in glob.glob(text, recursive=True) if os.path.isfile(one))
            if not matches:
                raise FileNotFoundError(f"INPUT must be a picture, a folder or a pattern. Received: {text!r}")
            found += map(pathlib.Path, matches)
    return list({path.resolve(): path for path in found}.values())


def check_out(out, pictures, made, folders=()):
    """Files named after the pictures must go where no picture lies, and no two into one file.

    Args:
        out: folder that is written to, a path.
        pictures: paths of the pictures.
        made: what is named after them, such as `"masks"`.
        folders: sub-folders of `out` that are written to as well.

    Raises:
        FileExistsError: if `out` is a file.
        ValueError: if a picture would be overwritten, or two pictures have one name.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out must be a folder. Received: {str(out)!r}")
    places = {out.resolve(), *((out / folder).resolve() for folder in folders)}
    by_stem = {}
    for path in pictures:
        if path.resolve().parent in places:
            raise ValueError(
                f"--out must be another folder than that of the pictures. Received: {str(out)!r}"
            )
        if path.stem in by_stem:
            raise ValueError(
                f"Pictures must differ in name, since {made} are named after them. "
                f"Received: {by_stem[path.stem]} and {path}"
            )
        by_stem[path.stem] = path
