"""Names of images, taken from names of files."""

import pathlib
import unicodedata

from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES

# What archives of macOS and disks in the network keep beside images.
_FOLDERS_OF_SYSTEMS = ("__MACOSX", "@eaDir")


def normal_name(name):
    """A name in the one form in which names are compared.

    Letters with marks can be written in two ways that look alike; archives made on macOS hold the other one
    than lists typed elsewhere.

    Args:
        name: string.

    Returns:
        string in normal form C.

    Example:

    >>> normal_name("a\\u0308pfel") == "\\u00e4pfel"
    True
    """
    return unicodedata.normalize("NFC", name)


def image_name(path):
    """The name of an image: that of its file without suffix, in normal form."""
    return normal_name(pathlib.Path(path).stem)


def without_image_suffix(name):
    """A name as lists have it, with the suffix of an image or without.

    Args:
        name: string.

    Returns:
        the string without such a suffix; what else follows a dot stays.

    Example:

    >>> without_image_suffix("v1.2.JPG"), without_image_suffix("v1.2")
    ('v1.2', 'v1.2')
    """
    suffix = pathlib.PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else name


def is_hidden(name):
    """Whether a file or folder of this name is what systems and programs keep beside images.

    Example:

    >>> is_hidden("._scan1.png"), is_hidden("__MACOSX"), is_hidden("scan1.png")
    (True, True, False)
    """
    return name.startswith(".") or name in _FOLDERS_OF_SYSTEMS


def path_on_disk(path):
    """A path in the form of its letters that the disk has.

    Args:
        path: as it was typed.

    Returns:
        `pathlib.Path`: of a file or folder that is there in another form, else the same path.

    Example:

    >>> import tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "a\\u0308pfel").mkdir()
    >>> path_on_disk(folder / "\\u00e4pfel").is_dir()
    True
    """
    path = pathlib.Path(path)
    if path.exists() or path == path.parent:
        return path
    parent = path_on_disk(path.parent)
    there = parent.iterdir() if parent.is_dir() else ()
    alike = (one for one in there if normal_name(one.name) == normal_name(path.name))
    return next(alike, parent / path.name)
