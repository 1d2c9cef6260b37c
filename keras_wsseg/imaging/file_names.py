"""Names of pictures, taken from names of files."""

import pathlib
import unicodedata


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


def picture_name(path):
    """The name of a picture: that of its file without suffix, in normal form."""
    return normal_name(pathlib.Path(path).stem)
