"""Atomic writing of files."""

import contextlib
import os
import pathlib
import threading


@contextlib.contextmanager
def atomic_write(path):
    """Replaces a file by a draft once it is written; concurrent readers see the complete old file.

    Args:
        path: the file, in a folder that exists.

    Yields:
        path of the draft, with the suffix of the file; on an error it is deleted and the old file kept.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if the path is that of a folder.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
    >>> with atomic_write(path) as draft:
    ...     _ = draft.write_text("whole")
    >>> path.read_text()
    'whole'
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path` must lie in an existing folder. Received: path={str(path)!r}")
    if path.is_dir():
        raise ValueError(f"`path` must be a file. Received: path={str(path)!r}, which is a folder")
    # Without the name of the file, which may already have the maximum length.
    draft = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
