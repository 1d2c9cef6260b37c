"""Writing pictures."""

import os
import pathlib

import numpy as np
from PIL import Image


def write_png(path, picture):
    """Writes a picture to a PNG file; who looks while it is written sees the old file or the new one whole.

    Args:
        path: file to write; missing folders are made.
        picture: uint8 `(height, width)` or `(height, width, 3)`.

    Raises:
        ValueError: if `picture` is no such array.

    Example:

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "new_folder", "a.png")
    >>> write_png(path, np.zeros((2, 3, 3), np.uint8))
    >>> Image.open(path).size
    (3, 2)
    """
    picture = np.asarray(picture)
    grey_or_colour = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] == 3)
    if picture.dtype != np.uint8 or not grey_or_colour or not picture.size:
        raise ValueError(
            "`picture` must be uint8 of shape (height, width) or (height, width, 3). "
            f"Received: shape={picture.shape}, dtype={picture.dtype}"
        )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        Image.fromarray(picture).save(temporary, format="PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
