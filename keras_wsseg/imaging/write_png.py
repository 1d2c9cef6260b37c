"""Writes images."""

import pathlib

import numpy as np

from keras_wsseg.imaging.atomic_write import atomic_write


def write_png(path, image):
    """Writes an image to a PNG file atomically.

    Args:
        path: file to write; missing folders are created.
        image: uint8 `(height, width)` of gray, `(height, width, 3)` of color, or `(height, width, 4)` of
            color with its opacity.

    Raises:
        ImportError: if Pillow is not installed.
        ValueError: if `image` is not such an array.

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
        raise ImportError("Writing an image needs Pillow: `pip install pillow`") from error
    image = np.asarray(image)
    gray_or_color = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in (3, 4))
    if image.dtype != np.uint8 or not gray_or_color or not image.size:
        raise ValueError(
            "`image` must be uint8 of shape (height, width) or (height, width, 3 or 4). "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        Image.fromarray(image).save(draft, format="PNG")
