"""Label maps as arrays and as PNG files."""

import os
import pathlib
import tempfile

import numpy as np
from PIL import Image

from keras_wsseg.annotations.palette import voc_palette

_MODES = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I")


def check_label_map(labels, name="labels"):
    """The label map as a uint8 array, or an error that says what is wrong with it.

    Args:
        labels: integer array `(height, width)` of ids from 0 to 255.
        name: what the error calls it.

    Returns:
        uint8 array `(height, width)`; a copy only where the type had to change.

    Raises:
        TypeError: the array does not hold integers.
        ValueError: not two-dimensional, empty, or an id outside 0 to 255.

    Example:

    >>> check_label_map([[0, 255]]).dtype
    dtype('uint8')
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers. Received: {name}.dtype={array.dtype}")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"`{name}` must have shape (height, width). Received: {name}.shape={array.shape}")
    if array.dtype != np.uint8:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise ValueError(f"`{name}` must hold ids from 0 to 255. Received: ids from {low} to {high}")
        array = array.astype(np.uint8)
    return array


def read_label_map(path):
    """Read class ids from a single-channel or palette image.

    Use it for scribbles, clicks and dense labels alike: in a palette image the index is the id, the colour
    is only for the eye.

    Args:
        path: file of ids, PNG, BMP or TIFF.

    Returns:
        uint8 array `(height, width)`; 255 is unlabelled, 254 outside the image.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a readable image, has colours instead of ids, is a JPEG (which alters
            ids), or holds an id above 255.

    Example:

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> write_label_map(path, np.array([[0, 1], [254, 255]]))
    >>> read_label_map(path).tolist()
    [[0, 1], [254, 255]]
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must name a label map. Received: path={str(path)!r}")
    try:
        with Image.open(path) as image:
            form, mode = image.format, image.mode
            array = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"The label map {str(path)!r} cannot be read. Received: {error}") from error
    if form == "JPEG":
        raise ValueError(
            f"The label map {str(path)!r} must be lossless, since JPEG alters ids. Received: JPEG"
        )
    if mode not in _MODES:
        raise ValueError(
            f"The label map {str(path)!r} must have one channel of ids or a palette. Received: mode {mode!r}"
        )
    if mode == "1":
        return array.astype(np.uint8)
    try:
        return check_label_map(array)
    except ValueError as error:
        raise ValueError(f"The label map {str(path)!r} is not usable: {error}") from error


def write_label_map(path, labels, palette=None):
    """Write class ids as a palette PNG, whole or not at all.

    Any viewer shows it in colours, and `read_label_map` gives the same ids back.

    Args:
        path: the PNG to write; its folder must exist.
        labels: integer array `(height, width)`, ids from 0 to 255.
        palette: colours, integers `(up to 256, 3)` from 0 to 255; ids beyond it have those of `voc_palette`.

    Raises:
        TypeError, ValueError: labels or palette are not as above, or the suffix is not `.png`.

    Example:

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> write_label_map(path, np.array([[0, 1]]), palette=[[0, 0, 0], [255, 0, 0]])
    >>> Image.open(path).convert("RGB").getpixel((1, 0))
    (255, 0, 0)
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path` must end in .png. Received: path={str(path)!r}")
    labels = check_label_map(labels)
    colours = np.asarray(voc_palette() if palette is None else palette)
    if colours.ndim != 2 or colours.shape[1] != 3 or not 1 <= len(colours) <= 256:
        raise ValueError(f"`palette` must have shape (up to 256, 3). Received: palette.shape={colours.shape}")
    if colours.dtype.kind not in "iu" or colours.min() < 0 or colours.max() > 255:
        raise ValueError(f"`palette` must hold integers from 0 to 255. Received: palette={palette!r}")
    image = Image.fromarray(labels)
    # A palette of fewer colours would make Pillow store fewer bits, too few for 254 and 255.
    full = voc_palette()
    full[: len(colours)] = colours
    image.putpalette(full.tobytes())
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            image.save(stream, format="PNG")
        # mkstemp makes the file private; a label map shall be as readable as any file the user writes.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
