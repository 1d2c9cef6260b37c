"""Writing pictures."""

import pathlib

import numpy as np

from keras_wsseg.imaging.replaced import replaced


def write_png(path, picture):
    """Writes a picture to a PNG file; who looks while it is written sees the old file or the new one whole.

    Args:
        path: file to write; missing folders are made.
        picture: uint8 `(height, width)` of grey, `(height, width, 3)` of colour, or `(height, width, 4)` of
            colour with its opacity.

    Raises:
        ImportError: if Pillow is not installed.
        ValueError: if `picture` is no such array.

    Example:

    >>> import os, tempfile
    >>> from PIL import Image
    >>> path = os.path.join(tempfile.mkdtemp(), "new_folder", "a.png")
    >>> write_png(path, np.zeros((2, 3, 3), np.uint8))
    >>> Image.open(path).size
    (3, 2)
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Writing a picture needs Pillow: `pip install pillow`") from error
    picture = np.asarray(picture)
    grey_or_colour = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] in (3, 4))
    if picture.dtype != np.uint8 or not grey_or_colour or not picture.size:
        raise ValueError(
            "`picture` must be uint8 of shape (height, width) or (height, width, 3 or 4). "
            f"Received: shape={picture.shape}, dtype={picture.dtype}"
        )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as draft:
        Image.fromarray(picture).save(draft, format="PNG")
