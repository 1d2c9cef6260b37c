"""Reads the label maps of a folder and validates their ids."""

import typing

import numpy as np

from keras_wsseg.imaging.label_map import read_label_file
from keras_wsseg.imaging.labels import PADDING, UNLABELED


class LabelFileInfo(typing.NamedTuple):
    """The contents of a label map.

    Args:
        counts: number of pixels of each id, `(256,)`.
        bits: bits per pixel of the file.
    """

    counts: np.ndarray
    bits: int


class LabelReader:
    """Reads the label maps of one folder.

    Args:
        values: dict from a value in the files to its id, or None where values are ids.
        ignored: values in the files that become unlabeled, whether or not `values` contains them.
    """

    def __init__(self, values=None, ignored=()):
        self._values, self._ignored = values, list(ignored)
        if values is not None:
            self._values, self._ignored = values | dict.fromkeys(ignored, UNLABELED), []

    def read(self, path):
        """The label map of a file, uint8 `(height, width)`."""
        return self._read(path)[0]

    def inspect(self, path, size):
        """Reads and validates a file.

        Args:
            path: the file.
            size: `(height, width)` of its image.

        Returns:
            a `LabelFileInfo`.

        Raises:
            ValueError: the file is not a label map of this size; the error names it.
        """
        labels, bits = self._read(path)
        if labels.shape != tuple(size):
            raise ValueError(
                f"The label map {str(path)!r} must be as large as its image, {size[1]}x{size[0]}. "
                f"Received: {labels.shape[1]}x{labels.shape[0]}"
            )
        return LabelFileInfo(np.bincount(labels.ravel(), minlength=256), bits)

    def _read(self, path):
        labels, bits = read_label_file(path, self._values)
        if self._ignored:
            labels = np.where(np.isin(labels, self._ignored), np.uint8(UNLABELED), labels)
        return labels, bits


def check_depths(paths, infos):
    """Raises `ValueError` if label maps differ in bits per pixel: white may be 1 in one and 255 in another.

    Args:
        paths: the files.
        infos: a `LabelFileInfo` of each.
    """
    for path, info in zip(paths, infos, strict=True):
        if info.bits != infos[0].bits:
            raise ValueError(
                f"All label maps of a folder must have the {infos[0].bits} bits per pixel of "
                f"{str(paths[0])!r}, or a value may mean two things. Received: {info.bits} in {str(path)!r}"
            )


def check_ids(paths, infos, num_classes):
    """Raises `ValueError` for the first file with an id that is not a class."""
    for path, info in zip(paths, infos, strict=True):
        wrong = np.flatnonzero(info.counts[num_classes:PADDING]) + num_classes
        if wrong.size:
            raise ValueError(
                f"The label map {str(path)!r} must hold class ids 0 to {num_classes - 1}, 254 or 255. "
                f"Received: {', '.join(map(str, wrong.tolist()))}"
            )


def check_values_are_ids(place, infos, class_names, values_given=False):
    """Raises `ValueError` if values are implausible as ids: black and white masks, or gaps.

    Args:
        place: name of the files in the error message.
        infos: a `LabelFileInfo` of each.
        class_names: names of the classes, or None if their number is unknown. If they are known, label maps
            in which every pixel is labeled may show only one class.
        values_given: whether `values` defines the meaning, so that 254 is not a class overlooked.
    """
    counts = np.sum([info.counts for info in infos], axis=0)
    classes, reserved = (
        np.flatnonzero(counts[:PADDING]),
        counts[UNLABELED if values_given else PADDING :].any(),
    )
    advice = "" if values_given else f"; {_advice(counts, class_names)}"
    if len(classes) < 2 and (reserved or class_names is None):
        raise ValueError(
            f"At least two classes must be annotated in the {len(infos)} label maps of {place}. Received: "
            f"{describe(counts)}{advice}"
        )
    if class_names is None and len(classes) != classes[-1] + 1:
        raise ValueError(
            f"The ids in the {len(infos)} label maps of {place} must be 0, 1, 2 … without a gap where "
            f"neither classes.txt nor `num_classes` says how many classes there are. Received: "
            f"{describe(counts)}{advice}"
        )


def classes_without_pixel(infos, class_names):
    """The names of the classes without a pixel in any label map."""
    counts = np.sum([info.counts for info in infos], axis=0)
    return [name for name, count in zip(class_names, counts, strict=False) if not count]


def describe(counts):
    """Describes the ids that occur and their fractions of the pixels.

    Example:

    >>> counts = np.zeros(256, int)
    >>> counts[[0, 255]] = 3, 1
    >>> describe(counts)
    '0 on 75.0 %, 255 (unlabeled) on 25.0 % of the pixels'
    """
    reserved = {PADDING: " (outside the image)", UNLABELED: " (unlabeled)"}
    present = np.flatnonzero(counts).tolist()
    shares = [f"{i}{reserved.get(i, '')} on {100 * counts[i] / counts.sum():.1f} %" for i in present[:12]]
    more = f" and {len(present) - 12} more" if len(present) > 12 else ""
    return f"{', '.join(shares)}{more} of the pixels"


def _advice(counts, class_names):
    present = np.flatnonzero(counts).tolist()[:4]
    names = list(class_names or ("background", "object"))[: len(present)]
    names += [f"class{number}" for number in range(len(names), len(present))]
    python = ", ".join(f"{value}: {name!r}" for value, name in zip(present, names, strict=True))
    typed = ",".join(f"{value}={name}" for value, name in zip(present, names, strict=True))
    return (
        f"if they are classes, define each value: values={{{python}}} in Python, --values {typed} on the "
        "command line"
    )
