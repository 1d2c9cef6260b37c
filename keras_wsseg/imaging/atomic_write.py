"""Files that are whole or not there."""

import contextlib
import os
import pathlib
import threading


@contextlib.contextmanager
def atomic_write(path):
    """A draft that takes the place of a file once it is written: who reads meanwhile sees the old file whole.

    Args:
        path: the file, in a folder that exists.

    Yields:
        path of the draft, with the suffix of the file; an error removes it and leaves the old file.

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
    # The name of the file is left out: it may be as long as names can be.
    draft = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
