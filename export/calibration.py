"""Calibration images that determine the value ranges of a quantization, read one at a time."""

import os
import pathlib

import numpy as np
from keras import ops

from keras_wsseg.arguments import check_integer
from keras_wsseg.export.input_images import to_batch
from keras_wsseg.imaging.file_names import is_hidden
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES
from keras_wsseg.ops.resize import resize_antialiased

LARGEST_SIDE = 1024


class CalibrationImages:
    """Images of a folder, a list or an array, in the form that a graph takes.

    Images larger than 1024 pixels are center-cropped, and resized for a graph of fixed size.

    Args:
        calibration: folder of images, list of paths or arrays, or an array of several images.
        most: how many to use, evenly spaced over all of them.

    Raises:
        FileNotFoundError: if the folder does not exist.
        TypeError, ValueError: if it is none of these, or empty.
    """

    def __init__(self, calibration, most=100):
        found = _listed(calibration)
        check_integer("calibration_images", most, low=1)
        steps = np.linspace(0, len(found) - 1, min(most, len(found)))
        self.found = [found[round(step)] for step in steps]

    def __len__(self):
        return len(self.found)

    def few(self, count):
        """A copy with at most `count` of the images.

        Args:
            count: number of images.

        Returns:
            `CalibrationImages`.
        """
        return CalibrationImages(self.found, count)

    def batches(self, shape, value_range, dtype):
        """Each image as a batch for a graph.

        Args:
            shape: `ImageShape` that the graph takes.
            value_range: `(low, high)` that it takes.
            dtype: `float32` or `uint8`.

        Yields:
            `(batch, height, width, channels)` array, an image repeated to fill a fixed batch.

        Raises:
            ValueError: if an image does not fit the segmenter.
        """
        for image in self.found:
            try:
                batch = to_batch(image, shape.channels, value_range)[0][:1]
            except (TypeError, ValueError) as error:
                name = str(image) if isinstance(image, str | os.PathLike) else "an array"
                raise ValueError(
                    f"`calibration` must hold images that fit the segmenter. Received: {name}: {error}"
                ) from error
            batch = _middle(np.asarray(batch, "float32"))
            size = (shape.height or batch.shape[1], shape.width or batch.shape[2])
            if size != batch.shape[1:3]:
                batch = ops.convert_to_numpy(resize_antialiased(ops.convert_to_tensor(batch), size))
            batch = np.clip(batch, *value_range)
            batch = (np.rint(batch) if dtype == "uint8" else batch).astype(dtype)
            yield np.repeat(batch, shape.batch or 1, axis=0)


def _listed(calibration):
    if isinstance(calibration, str | os.PathLike):
        folder = pathlib.Path(calibration)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"`calibration` must be an existing folder of images. Received: calibration={str(folder)!r}"
            )
        calibration = [
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.name)
        ]
        if not calibration:
            raise ValueError(
                f"`calibration` must be a folder that contains images. Received: calibration={str(folder)!r}"
            )
    if isinstance(calibration, np.ndarray) and calibration.ndim == 4:
        calibration = list(calibration)
    if not isinstance(calibration, list | tuple) or not len(calibration):
        raise TypeError(
            "`calibration` must be a folder of images, a list of paths or arrays, or an array (images, "
            f"height, width, channels). Received: {type(calibration).__name__}"
        )
    return list(calibration)


def _middle(batch):
    top, left = (max(0, (pixels - LARGEST_SIDE) // 2) for pixels in batch.shape[1:3])
    return batch[:, top : top + LARGEST_SIDE, left : left + LARGEST_SIDE]
