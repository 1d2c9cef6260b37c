"""Folders for what a command writes, that are gone again where it wrote nothing."""

import contextlib


@contextlib.contextmanager
def made_folders(folder):
    """Makes a folder with those around it, and takes back what it made where an error follows.

    Args:
        folder: path.

    Yields:
        None.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in made:
            # Somebody else may have put something there meanwhile.
            with contextlib.suppress(OSError):
                one.rmdir()
        raise
