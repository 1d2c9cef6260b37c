"""Label maps as arrays and as files."""

import pathlib

import numpy as np

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.atomic_write import atomic_write
from keras_wsseg.imaging.decoding import check_single, load, open_image, stored_gray, unreadable
from keras_wsseg.imaging.image_error import ImageError
from keras_wsseg.imaging.numpy_file import read_numpy
from keras_wsseg.imaging.palette import file_palette

_DEPTHS = {"1": 1, "L": 8, "P": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I;16N": 16, "I": 32}


def check_label_map(labels, name="labels"):
    """Validates a label map and returns it as a uint8 array.

    Args:
        labels: integer array `(height, width)` of ids from 0 to 255.
        name: its name in error messages.

    Returns:
        uint8 array `(height, width)`; a copy only if the type changes.

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


def read_label_map(path, values=None):
    """Reads class ids from a single-channel or palette image.

    Use it for scribbles, clicks and dense labels alike: in a palette image the index is the id, the color is
    only for display.

    Args:
        path: file of ids: PNG, BMP, TIFF or another lossless format that Pillow reads, with its orientation
            tag applied; or a NumPy file (.npy) of integers `(height, width)`.
        values: meaning of the values in the file, a dict from each value to an id from 0 to 255, such as `{0:
            0, 255: 1}` for a black and white mask; None if they are ids.

    Returns:
        uint8 array `(height, width)`; 255 is unlabeled, 254 outside the image.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: `values` is not such a dict, or the file is not a readable image, has colors instead of
            ids, several pages, is a JPEG (which alters ids), contains an id above 255, or a value that is not
            in `values`.

    Example:

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> write_label_map(path, np.array([[0, 1], [254, 255]]))
    >>> read_label_map(path).tolist()
    [[0, 1], [254, 255]]
    """
    return read_label_file(path, values)[0]


def read_label_file(path, values=None):
    """`read_label_map`, and the bits per pixel of the file, which must agree within a folder.

    Args:
        path, values: as in `read_label_map`.

    Returns:
        `(labels, bits)`; the indices of a palette count as 8 bits.

    Raises:
        FileNotFoundError, ValueError: as in `read_label_map`.
    """
    path = pathlib.Path(path)
    values = None if values is None else _check_values(values)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must name a label map. Received: path={str(path)!r}")
    try:
        array, bits = _stored(path)
    except ImageError as error:
        raise ValueError(f"The label map {str(path)!r} {error.reason}") from error
    if values is not None:
        return _translated(array, values, path), bits
    try:
        return check_label_map(array), bits
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The label map {str(path)!r} is not usable: {error}; set `values` if its values are not ids"
        ) from error


def read_instance_map(path):
    """Reads the instance number of each pixel, whose class is in a separate label map.

    Args:
        path: file in a format of `read_label_map`; the numbers may have 8, 16 or 32 bits, 0 for unknown.

    Returns:
        Integer array `(height, width)`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, lossy or more than one channel; the error names the file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must name an instance map. Received: path={str(path)!r}")
    try:
        return _stored(path)[0]
    except ImageError as error:
        raise ValueError(f"The instance map {str(path)!r} {error.reason}") from error


def write_label_map(path, labels, palette=None):
    """Writes class ids as a palette PNG, atomically.

    Any viewer shows it in colors, and `read_label_map` returns the same ids.

    Args:
        path: the PNG to write; its folder must exist.
        labels: integer array `(height, width)`, ids from 0 to 255.
        palette: colors, integers `(classes, 3)` from 0 to 255; ids beyond it have the colors of
            `voc_palette`.

    Raises:
        ImportError: if Pillow is not installed.
        FileNotFoundError: if the folder does not exist.
        TypeError, ValueError: labels or palette are not as above, or the suffix is not `.png`.

    Example:

    >>> import tempfile, os
    >>> from PIL import Image
    >>> path = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> write_label_map(path, np.array([[0, 1]]), palette=[[0, 0, 0], [255, 0, 0]])
    >>> Image.open(path).convert("RGB").getpixel((1, 0))
    (255, 0, 0)
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path` must end in .png. Received: path={str(path)!r}")
    image = label_image(labels, palette)
    with atomic_write(path) as draft:
        image.save(draft, format="PNG")


def label_image(labels, palette=None):
    """Class ids as Pillow's palette image; arguments and errors as in `write_label_map`."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Writing a label map needs Pillow: `pip install pillow`") from error
    image = Image.fromarray(np.ascontiguousarray(check_label_map(labels)))
    # A palette of fewer colors would make Pillow store fewer bits, too few for 254 and 255.
    image.putpalette(file_palette(palette).tobytes())
    return image


def _stored(path):
    return _from_numpy(path) if path.suffix.lower() == ".npy" else _from_image(path)


def _from_image(path):
    with path.open("rb") as stream, open_image(stream) as image:
        if image.format in ("JPEG", "MPO"):
            raise ImageError("must be lossless, since JPEG alters ids. Received: JPEG")
        check_single(image)
        if image.mode not in _DEPTHS:
            raise ImageError(f"must have one channel of ids or a palette. Received: mode {image.mode!r}")
        few_bits, spread, swapped = stored_gray(image)
        bits = few_bits or _DEPTHS[image.mode]
        try:
            load(image)
            array = np.asarray(image)
        except Exception as error:
            raise unreadable(error) from error
    array = array.astype(np.uint8) if bits == 1 else array // spread if spread > 1 else array
    return (array ^ (2**bits - 1) if swapped else array), bits


def _from_numpy(path):
    array = read_numpy(path, "iub", "integers")
    if array.shape[-1] != 1:
        raise ImageError(f"must have shape (height, width). Received: shape {array.shape}")
    return array[..., 0].astype(np.uint8 if array.dtype.kind == "b" else array.dtype), 8 * array.itemsize


def _check_values(values):
    if not isinstance(values, dict) or not values:
        raise ValueError(
            "`values` must be a dict from values to ids, such as {0: 0, 255: 1}. "
            f"Received: values={values!r}"
        )
    return {
        check_integer("keys of values", value, low=0): check_integer("ids in values", number, low=0, high=255)
        for value, number in values.items()
    }


def _translated(array, values, path):
    found, places = np.unique(array, return_inverse=True)
    unknown = [value for value in found.tolist() if value not in values]
    if unknown:
        raise ValueError(
            f"The label map {str(path)!r} must hold no other values than {', '.join(map(str, values))}, "
            f"those in `values`. Received: {', '.join(map(str, unknown[:5]))}"
        )
    ids = np.array([values[value] for value in found.tolist()], np.uint8)
    return ids[places].reshape(array.shape)
