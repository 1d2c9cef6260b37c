"""Predictions of a segmenter next to its training labels."""

import numpy as np

from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.imaging.overlay import checked_labels, overlay
from keras_wsseg.imaging.rgb import rgb_image
from keras_wsseg.visualization.contact_sheet import contact_sheet
from keras_wsseg.visualization.uncertainty import uncertainty_image

# Strokes cover a few percent of an image and clicks hardly anything: to be visible on a sheet, both are drawn
# enlarged and in full color.
_STROKES = 0.2
_CLICKS = 0.005


def prediction_sheet(
    images,
    probabilities,
    labels=None,
    truth=None,
    class_names=None,
    palette=None,
    value_range=(0, 255),
    caption=None,
    cell=320,
):
    """A sheet of image, weak label, prediction, uncertainty and ground truth, one row per image.

    Args:
        images: list of images `(height, width)` or `(height, width, 1 or 3)`, of any sizes.
        probabilities: list of `(height, width, classes)`, each of its image's size.
        labels: list of weak label maps `(height, width)`, drawn enlarged if they are strokes or clicks;
            entries may be None. None for the list omits the column.
        truth: the same for dense labels.
        class_names: a name for each class, for the legend.
        palette: `(classes, 3)` red, green, blue from 0 to 255; `class_palette` by default.
        value_range: the values of black and white in `images`.
        caption: a line at the top of the sheet.
        cell: maximum width and height of an image on the sheet, in pixels.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: if the lists differ in length, sizes do not match, or a value is out of range.

    Example:

    >>> image, p = np.zeros((8, 8), np.uint8), np.full((8, 8, 2), 0.5)
    >>> prediction_sheet([image], [p], class_names=["cat", "dog"]).dtype
    dtype('uint8')
    """
    for name, values in (("probabilities", probabilities), ("labels", labels), ("truth", truth)):
        if values is not None and len(values) != len(images):
            raise ValueError(
                f"`{name}` must have an entry for each of the {len(images)} images. "
                f"Received: {len(values)} entries"
            )
    columns = {"image": [rgb_image(image, value_range) for image in images]}
    if labels is not None:
        columns["weak label"] = [
            None if one is None else _weak_overlay(rgb, one, palette)
            for rgb, one in zip(columns["image"], labels, strict=True)
        ]
    columns["prediction"] = [
        overlay(rgb, np.argmax(_sized(p, rgb), axis=-1), palette)
        for rgb, p in zip(columns["image"], probabilities, strict=True)
    ]
    columns["uncertainty"] = [uncertainty_image(p) for p in probabilities]
    if truth is not None:
        columns["truth"] = [
            None if one is None else overlay(rgb, one, palette)
            for rgb, one in zip(columns["image"], truth, strict=True)
        ]
    rows = list(zip(*columns.values(), strict=True))
    return contact_sheet(rows, list(columns), class_names, palette, caption, cell)


def _weak_overlay(rgb, labels, palette):
    labels = checked_labels(labels, rgb.shape[:2], "labels")
    inside = np.count_nonzero(labels != PADDING)
    annotated = np.count_nonzero((labels != PADDING) & (labels != UNLABELED)) / max(1, inside)
    side = max(labels.shape)
    if annotated < _CLICKS:
        return overlay(rgb, labels, palette, alpha=1.0, enlarge=max(1, side // 100))
    if annotated < _STROKES:
        return overlay(rgb, labels, palette, alpha=1.0, enlarge=side // 250)
    return overlay(rgb, labels, palette)


def _sized(probabilities, image):
    if np.ndim(probabilities) != 3 or np.shape(probabilities)[:2] != image.shape[:2]:
        raise ValueError(
            f"`probabilities` must have shape (height, width, classes) of the image, {image.shape[:2]}. "
            f"Received: shape={np.shape(probabilities)}"
        )
    return probabilities
