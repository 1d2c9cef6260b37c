"""Scores of a segmenter on densely labeled images."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.metrics import GroupedConfusion
from keras_wsseg.models.predicted_logits import predicted_logits
from keras_wsseg.training.config import check_group_by


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a segmenter reached.

    Attributes:
        mean_iou: mean over classes of the IoU, all pixels pooled.
        mean_dice: mean over the foreground classes of the Dice score; per volume where images were grouped.
        iou, dice: the score of each class by name; None where a class does not occur.
        images, groups: how many of them were scored.
        f_beta: the F measure of each class by name, with β² = 0.3 and all pixels pooled; None where a class
            does not occur. Empty in scores that were written before there was one.
        mean_f_beta: its mean over the foreground classes that occur; None in such scores.
        refined: the `Scores` with a CRF behind the segmenter, where they were asked for.
    """

    mean_iou: float
    mean_dice: float
    iou: dict
    dice: dict
    images: int
    groups: int
    f_beta: dict = dataclasses.field(default_factory=dict)
    mean_f_beta: float | None = None
    refined: "Scores | None" = None


def class_map(segmenter, image):
    """The class of every pixel of one image.

    Args:
        segmenter: a `keras.Model` from image to logits or probabilities, or a callable from image to
            class map, such as `export.OnnxSegmenter`.
        image: `(height, width, channels)`.

    Returns:
        `(height, width)` integer class ids.
    """
    if not isinstance(segmenter, keras.Model):
        return np.asarray(segmenter(image))
    return np.argmax(ops.convert_to_numpy(predicted_logits(segmenter, image))[0], axis=-1)


def evaluate(segmenter, data, group_by=None, progress=None):
    """Scores a segmenter on the dense labels of a data set.

    Args:
        segmenter: see `class_map`.
        data: a `data.SegmentationDataset` with dense labels.
        group_by: regular expression whose first group, in an image's name, names the volume it belongs to;
            without it all images are one pool.
        progress: wraps the iterable of indices to show progress.

    Returns:
        `Scores`.

    Raises:
        ValueError: if `group_by` is no such expression, or does not fit a name.
    """
    groups = check_groups(group_by, data.names)
    confusion, pooled = GroupedConfusion(data.num_classes), GroupedConfusion(data.num_classes)
    indices = range(len(data))
    for index in progress(indices) if progress else indices:
        image, labels = data.load(index)
        prediction = class_map(segmenter, image).astype("int64")
        confusion.update(groups[index], labels, prediction)
        pooled.update("all", labels, prediction)
    names = data.class_names
    return Scores(
        mean_iou=pooled.mean_iou(),
        mean_dice=confusion.mean_dice(),
        iou=_by_name(names, pooled.iou()),
        dice=_by_name(names, confusion.dice()),
        images=len(data),
        groups=len(confusion.groups),
        f_beta=_by_name(names, pooled.f_beta()),
        mean_f_beta=pooled.mean_f_beta(),
    )


def check_groups(pattern, names):
    """The group of each image, or a `ValueError` where `pattern` gives one none.

    Args:
        pattern: the `group_by` of `evaluate`.
        names: the images' names.
    """
    if pattern is None:
        return ["all"] * len(names)
    compiled = check_group_by(pattern)
    found = [compiled.search(normal_name(name)) for name in names]
    for name, one in zip(names, found, strict=True):
        if one is None or one.group(1) is None:
            raise ValueError(
                f"group_by must match the name of every image. Received: group_by={pattern!r}, "
                f"which does not match {name!r}"
            )
    return [one.group(1) for one in found]


def _by_name(names, values):
    return {
        str(name): None if np.isnan(value) else float(value)
        for name, value in zip(names, values, strict=True)
    }
