"""Image names from file names."""

import pathlib
import unicodedata

from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES

# Folders that macOS archives and network drives add to those of images.
_FOLDERS_OF_SYSTEMS = ("__MACOSX", "@eaDir")


def normal_name(name):
    """A name in the normalized form in which names are compared.

    Accented letters have two Unicode encodings that look alike; archives made on macOS contain another one
    than lists typed elsewhere.

    Args:
        name: string.

    Returns:
        string in Unicode normal form C.

    Example:

    >>> normal_name("a\\u0308pfel") == "\\u00e4pfel"
    True
    """
    return unicodedata.normalize("NFC", name)


def image_name(path):
    """The name of an image: that of its file without suffix, in normalized form."""
    return normal_name(pathlib.Path(path).stem)


def without_image_suffix(name):
    """A name from a list, without its image suffix if it has one.

    Args:
        name: string.

    Returns:
        the string without such a suffix; anything else after a dot is kept.

    Example:

    >>> without_image_suffix("v1.2.JPG"), without_image_suffix("v1.2")
    ('v1.2', 'v1.2')
    """
    suffix = pathlib.PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else name


def is_hidden(name):
    """Whether this is the name of a file or folder that operating systems and programs add to those of
    images.

    Example:

    >>> is_hidden("._scan1.png"), is_hidden("__MACOSX"), is_hidden("scan1.png")
    (True, True, False)
    """
    return name.startswith(".") or name in _FOLDERS_OF_SYSTEMS


def path_on_disk(path):
    """A path in the Unicode form used on disk.

    Args:
        path: as typed by the user.

    Returns:
        `pathlib.Path`: of the file or folder that exists in another form, else the same path.

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
