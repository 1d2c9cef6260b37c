"""Scores of a segmenter on densely labelled pictures."""

import dataclasses
import re

import keras
import numpy as np
from keras import ops

from keras_wsseg.metrics import GroupedConfusion
from keras_wsseg.ops.resize import resize_bilinear


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a segmenter reached.

    Attributes:
        mean_iou: mean over classes of the IoU, all pixels pooled.
        mean_dice: mean over the foreground classes of the Dice score; per volume where pictures were grouped.
        iou, dice: the score of each class by name; None where a class does not occur.
        pictures, groups: how many of them were scored.
    """

    mean_iou: float
    mean_dice: float
    iou: dict
    dice: dict
    pictures: int
    groups: int


def class_map(segmenter, picture):
    """The class of every pixel of one picture.

    Args:
        segmenter: a `keras.Model` from picture to logits, or a callable from picture to class map, such as
            `export.OnnxSegmenter`.
        picture: `(height, width, channels)`.

    Returns:
        `(height, width)` integer class ids.
    """
    if not isinstance(segmenter, keras.Model):
        return np.asarray(segmenter(picture))
    logits = segmenter.predict_on_batch(np.asarray(picture, "float32")[None])
    logits = ops.convert_to_numpy(resize_bilinear(ops.convert_to_tensor(logits), picture.shape[:2]))
    return np.argmax(logits[0], axis=-1)


def evaluate(segmenter, data, group_by=None, progress=None):
    """Scores a segmenter on the dense labels of a data set.

    Args:
        segmenter: see `class_map`.
        data: a `data.SegmentationDataset` with dense labels.
        group_by: regular expression whose first group, in a picture's name, names the volume it belongs to;
            without it all pictures are one pool.
        progress: wraps the iterable of indices to show progress.

    Returns:
        `Scores`.

    Raises:
        ValueError: if `group_by` is no such expression, or does not fit a name.
    """
    groups = [_group(group_by, name) for name in data.names]
    confusion, pooled = GroupedConfusion(data.num_classes), GroupedConfusion(data.num_classes)
    indices = range(len(data))
    for index in progress(indices) if progress else indices:
        picture, labels = data.load(index)
        prediction = class_map(segmenter, picture).astype("int64")
        confusion.update(groups[index], labels, prediction)
        pooled.update("all", labels, prediction)
    names = data.class_names
    return Scores(
        mean_iou=pooled.mean_iou(),
        mean_dice=confusion.mean_dice(),
        iou=_by_name(names, pooled.iou()),
        dice=_by_name(names, confusion.dice()),
        pictures=len(data),
        groups=len(confusion.groups),
    )


def _group(pattern, name):
    if pattern is None:
        return "all"
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise ValueError(f"group_by must be a regular expression ({error}). Received: {pattern!r}") from error
    if not found or not found.groups():
        raise ValueError(
            f"group_by must have a group that matches every name. Received: {pattern!r}, which fails on {name!r}"
        )
    return found.group(1)


def _by_name(names, values):
    return {
        str(name): None if np.isnan(value) else float(value)
        for name, value in zip(names, values, strict=True)
    }
