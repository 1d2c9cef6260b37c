"""Links files under a second name."""

import os
import pathlib
import shutil

from keras_wsseg.imaging.atomic_write import atomic_write


def link_file(source, target):
    """Creates a hard link to a file, or a copy if the file system does not support links.

    Images sorted into folders in another way then take no additional space.

    Args:
        source: the file.
        target: the second name; an existing file is kept.

    Example:

    >>> import tempfile
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (root / "a.txt").write_text("one file")
    >>> link_file(root / "a.txt", root / "b.txt")
    >>> (root / "b.txt").read_text()
    'one file'
    """
    target = pathlib.Path(target)
    if target.exists():
        return
    # Resolved, since a symbolic link may be relative, and broken from here.
    source = pathlib.Path(source).resolve()
    try:
        os.link(source, target)
    except OSError:
        with atomic_write(target) as draft:
            shutil.copy2(source, draft)
