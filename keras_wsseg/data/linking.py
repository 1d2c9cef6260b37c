"""Files under a second name."""

import os
import pathlib
import shutil

from keras_wsseg.imaging.atomic_write import atomic_write


def link_file(source, target):
    """A second name for a file, or a copy where the file system has no such thing.

    Images that are sorted into folders in another way take no room twice.

    Args:
        source: the file.
        target: the further name; a file that is there already is left as it is.

    Example:

    >>> import tempfile
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (root / "a.txt").write_text("said once")
    >>> link_file(root / "a.txt", root / "b.txt")
    >>> (root / "b.txt").read_text()
    'said once'
    """
    target = pathlib.Path(target)
    if target.exists():
        return
    # What a link leads to: the link itself may be relative, and lead nowhere from here.
    source = pathlib.Path(source).resolve()
    try:
        os.link(source, target)
    except OSError:
        with atomic_write(target) as draft:
            shutil.copy2(source, draft)
