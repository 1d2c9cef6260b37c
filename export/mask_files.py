"""Writes class maps and layers as PNG files, whole or not at all."""

import os
import pathlib
import threading

import numpy as np

# Reserved numbers in a mask show in the colour that Pascal VOC gives to what has no class.
VOID = (224, 224, 192)


def write_palette_png(path, mask, palette):
    """Writes a class map as a PNG that holds the class numbers and shows in the palette's colours.

    Args:
        path: file to write.
        mask: `(height, width)` integers 0 to 255.
        palette: `(classes, 3)` uint8.

    Raises:
        ImportError: if Pillow is not installed.
        FileNotFoundError: if the folder does not exist.
    """
    _write(palette_picture(mask, palette), path)


def palette_picture(mask, palette):
    """A class map as a picture of class numbers that shows in the palette's colours.

    Args:
        mask: `(height, width)` integers 0 to 255.
        palette: `(classes, 3)` uint8.

    Returns:
        Pillow's image.

    Raises:
        ImportError: if Pillow is not installed.
    """
    colours = np.full((256, 3), VOID, np.uint8)
    colours[: len(palette)] = palette[:256]
    picture = _pillow().fromarray(np.ascontiguousarray(mask, np.uint8))
    picture.putpalette(colours.tobytes())
    return picture


def write_layer_png(path, layer):
    """Writes a layer of colours with their opacity.

    Args:
        path: file to write.
        layer: `(height, width, 4)` uint8.

    Raises:
        ImportError: if Pillow is not installed.
        FileNotFoundError: if the folder does not exist.
    """
    _write(_pillow().fromarray(layer), path)


def _pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Writing a mask needs Pillow: `pip install pillow`") from error
    return Image


def _write(picture, path):
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path` must lie in an existing folder. Received: path={str(path)!r}")
    if path.is_dir():
        raise ValueError(f"`path` must be a file. Received: path={str(path)!r} which is a folder")
    draft = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        picture.save(draft, format="PNG")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
