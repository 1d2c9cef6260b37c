"""Reads NumPy files as images."""

import numpy as np

from keras_wsseg.imaging.image_error import ImageError


def read_numpy(path, kinds, what):
    """The array of a NumPy file.

    Args:
        path: the file.
        kinds: characters of the accepted NumPy kinds, such as `"uf"`.
        what: their name in error messages.

    Returns:
        `(height, width, channels)` array of native byte order, not empty.

    Raises:
        ImageError: if it is not such a file; pickled objects are never loaded.
    """
    try:
        array = np.load(path, allow_pickle=False)
    # A broken header is evaluated as Python, which may raise anything, or may claim more than the memory.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"must be a NumPy file of {what}. Received: {reason}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ImageError(f"must be a NumPy file of {what}. Received: an archive of several (.npz)")
    if array.dtype.kind not in kinds:
        raise ImageError(f"must be a NumPy file of {what}. Received: {array.dtype}")
    if array.ndim not in (2, 3) or not array.size:
        raise ImageError(
            f"must have shape (height, width) or (height, width, channels). Received: shape {array.shape}"
        )
    array = array if array.ndim == 3 else array[..., None]
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
