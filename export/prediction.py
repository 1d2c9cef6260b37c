"""Runs images of any size through a segmenter's graph, whole or in windows."""

import numpy as np

from keras_wsseg.export.windows import stitch
from keras_wsseg.imaging.labels import MOST_CLASSES


def run_probabilities(session, windows, images):
    """The probability of each class at every pixel.

    Args:
        session: `Session` whose outputs hold `probabilities`.
        windows: `Windows`.
        images: `(batch, height, width, channels)` with values in the range that the graph takes.

    Returns:
        `(batch, height, width, classes)` float32.
    """
    rows, columns = windows.cut(*images.shape[1:3])
    if _is_whole(rows, columns):
        return session.run("probabilities", images)
    result = np.empty((*images.shape[:3], len(session.about.class_names)), np.float32)
    for image, of_image in zip(images, result, strict=True):
        for *place, piece in _pieces(session, "probabilities", image, rows, columns):
            of_image[tuple(place)] = piece
    return result


def run_classes(session, windows, images):
    """The class of every pixel, without storing the probabilities of a large image.

    Args:
        session: `Session`.
        windows: `Windows`.
        images: `(batch, height, width, channels)` with values in the range that the graph takes.

    Returns:
        `(batch, height, width)` uint8, int32 if there are more classes than a label map can hold.
    """
    rows, columns = windows.cut(*images.shape[1:3])
    whole = _is_whole(rows, columns)
    # Windows are blended as probabilities where the file outputs them: classes cannot be blended.
    in_classes = "classes" in session.outputs and (whole or "probabilities" not in session.outputs)
    if whole and in_classes:
        return session.run("classes", images)
    output = "classes" if in_classes else "probabilities"
    dtype = np.uint8 if len(session.about.class_names) <= MOST_CLASSES else np.int32
    result = np.empty(images.shape[:3], dtype)
    for image, of_image in zip(images, result, strict=True):
        for *place, piece in _pieces(session, output, image, rows, columns):
            of_image[tuple(place)] = piece if in_classes else np.argmax(piece, axis=-1)
    return result


def _is_whole(rows, columns):
    return all(axis.starts == (0,) and axis.size == axis.length for axis in (rows, columns))


def _pieces(session, output, image, rows, columns):
    def run(top, left):
        window = image[top : top + rows.length, left : left + columns.length]
        missing = [(0, rows.length - window.shape[0]), (0, columns.length - window.shape[1]), (0, 0)]
        return session.run(output, np.pad(window, missing, mode="reflect")[None])[0]

    return stitch(rows, columns, run, blend=output == "probabilities")
