"""The class maps, estimated labels and predictions of a training from tags."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.imaging.overlay import checked_labels, overlay
from keras_wsseg.imaging.palette import as_palette
from keras_wsseg.imaging.rgb import rgb_image
from keras_wsseg.visualization.contact_sheet import PAPER, TEXT_COLOR, contact_sheet

# Dark red through orange to pale yellow, distinct from any gray image below it.
_HEAT = np.array([(90, 0, 20), (190, 20, 30), (245, 90, 20), (255, 190, 40), (255, 250, 170)], np.float32)
_BRIGHTNESS = 0.6
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_TOLERANCE = 1e-3
_STRENGTH = 0.8
# Strong enough to distinguish the gray of labeled background from an unlabeled gray road.
_OPACITY = 0.7
_EXPLANATION = "maps: from 0, gray, through red to 1, yellow;  labels: no color where a pixel has none"


def tag_sheet(
    images,
    maps,
    labels,
    probabilities,
    truth=None,
    class_names=None,
    palette=None,
    value_range=(0, 255),
    caption="",
    tags=None,
    cell=200,
):
    """A sheet of image, tags, class maps, estimated labels, prediction and ground truth, one row per image.

    It reveals early where training from tags goes wrong: a map that highlights the track along with the
    train, labels that cover everything or nothing of a class, a prediction that lags behind them.

    A class has a column for its map if any of the images contains it. The mean over the image is shown below
    a map, and the labeled share of the image below the labels.

    Args:
        images: list of images `(height, width)` or `(height, width, 1 or 3)`, of any sizes.
        maps: list of `(height, width, classes)` within [0, 1], each of its image's size: the evidence of each
            class at each pixel, such as `layers.ClassActivationMap` or the soft labels of
            `losses.AdaptivePriorLoss`; class 0 is the background.
        labels: list of label maps `(height, width)` derived from them: a class, 255 for unlabeled pixels,
            where the image is shown unchanged, 254 outside the image.
        probabilities: list of `(height, width, classes)`, the prediction.
        truth: list of dense label maps; entries may be None. None for the list omits the column.
        class_names: a name for each class; "background", "class 1" and so on by default.
        palette: `(classes, 3)` red, green, blue from 0 to 255; `class_palette` by default.
        value_range: the values of black and white in `images`.
        caption: text before the line at the top.
        tags: `(images, classes)` of 0 and 1: the classes that each image contains, always including the
            background, column 0. None: those whose map is above 0 anywhere.
        cell: maximum width and height of an image on the sheet, in pixels.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError: if labels are not integers.
        ValueError: if the lists differ in length, sizes or numbers of classes do not match, or a value is out
            of range.

    Example:

    >>> image, maps = np.zeros((8, 8), np.uint8), np.full((8, 8, 2), 0.5)
    >>> tag_sheet([image], [maps], [np.full((8, 8), 255)], [maps], class_names=["ground", "dog"]).dtype
    dtype('uint8')
    """
    cell = check_integer("cell", cell, low=32)
    given = (("maps", maps), ("labels", labels), ("probabilities", probabilities), ("truth", truth))
    for name, values in given:
        if values is not None and len(values) != len(images):
            raise ValueError(
                f"`{name}` must have an entry for each of the {len(images)} images. "
                f"Received: {len(values)} entries"
            )
    rgb_images = [rgb_image(image, value_range) for image in images]
    classes = np.shape(maps[0])[-1] if len(maps) and np.ndim(maps[0]) == 3 else 0
    maps = [_checked("maps", one, rgb, classes) for one, rgb in zip(maps, rgb_images, strict=True)]
    present = _seen(maps) if tags is None else checked_tags(tags, len(images), classes)
    names = _names(class_names, classes)
    colors = as_palette(palette)
    sizes = [rgb.shape[:2] for rgb in rgb_images]
    labels = [checked_labels(one, size, "labels") for one, size in zip(labels, sizes, strict=True)]

    columns = {"image": rgb_images}
    notes = {"image": [_tagged(row, names, colors) for row in present]}
    for number in np.flatnonzero(present.any(axis=0)):
        title = f"map of {names[number]}"
        columns[title] = [
            _heat(rgb, one[..., number]) if row[number] else None
            for rgb, one, row in zip(rgb_images, maps, present, strict=True)
        ]
        notes[title] = [
            [(f"mean {_mean(one[..., number], known):.2f}", None)] if row[number] else None
            for one, known, row in zip(maps, labels, present, strict=True)
        ]
    columns["estimated labels"] = [
        overlay(rgb, one, colors, _OPACITY, enlarge=max(one.shape) // 200)
        for rgb, one in zip(rgb_images, labels, strict=True)
    ]
    notes["estimated labels"] = [[(f"{_mean(one != UNLABELED, one):.0%} labeled", None)] for one in labels]
    columns["prediction"] = [
        overlay(rgb, np.argmax(_checked("probabilities", p, rgb, classes), axis=-1), colors)
        for rgb, p in zip(rgb_images, probabilities, strict=True)
    ]
    if truth is not None:
        columns["truth"] = [
            None if one is None else overlay(rgb, checked_labels(one, size, "truth"), colors)
            for rgb, one, size in zip(rgb_images, truth, sizes, strict=True)
        ]
    line = f"{caption};  {_EXPLANATION}" if caption else _EXPLANATION
    rows = _rows(list(columns.values()), [notes.get(title) for title in columns], cell)
    return contact_sheet(rows, list(columns), names, palette, line, cell)


def checked_tags(tags, count, classes=None):
    """`tags` as a bool array `(count, classes)` in which every image includes the background.

    Args:
        tags: `(count, classes)` of 0 and 1.
        count: number of images.
        classes: number of classes; None: any number of at least two.

    Raises:
        ValueError: if `tags` is anything else.

    Example:

    >>> checked_tags([[0, 1], [1, 0]], count=2).tolist()
    [[True, True], [True, False]]
    """
    array = np.asarray(tags)
    if array.ndim != 2 or len(array) != count or array.shape[1] < 2 or classes not in (None, array.shape[1]):
        raise ValueError(
            f"`tags` must be ({count} images, {'classes' if classes is None else f'{classes} classes'}), "
            f"including the background. Received: shape={array.shape}"
        )
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"`tags` must contain only 0 and 1. Received: {array.min()} to {array.max()}")
    present = array.astype(bool)
    present[:, 0] = True
    return present


def _seen(maps):
    present = np.array([one.max(axis=(0, 1)) > 0 for one in maps])
    present[:, 0] = True
    return present


def _rows(columns, notes, cell):
    """Rows of a contact sheet: images, plates with notes below them, and space before the next row."""
    rows = []
    for number, images in enumerate(zip(*columns, strict=True)):
        row = [None if column is None else column[number] for column in notes]
        rows += [list(images), _plates(row, cell), [None] * len(columns)]
    return rows[:-1]


def _heat(image, values):
    gray = _BRIGHTNESS * (image.astype(np.float32) @ _LUMA)[..., None]
    stops = np.linspace(0.0, 1.0, len(_HEAT))
    color = np.stack([np.interp(values, stops, _HEAT[:, channel]) for channel in range(3)], axis=-1)
    # The square root makes small values visible; the gray image stays visible below large ones.
    strength = _STRENGTH * np.sqrt(values)[..., None]
    return np.rint(gray + strength * (color - gray)).astype(np.uint8)


def _mean(values, labels):
    inside = labels != PADDING
    return values[inside].mean() if inside.any() else 0.0


def _tagged(present, names, colors):
    """The tags of an image: names and colors of the classes present besides the background."""
    found = [(names[number], tuple(colors[number].tolist())) for number in np.flatnonzero(present) if number]
    return found or [(f"{names[0]} alone", None)]


def _plates(notes, cell):
    """Text, optionally preceded by a color swatch, on plates as wide as a cell of a contact sheet.

    Args:
        notes: for each column a list of `(words, color or None)`, or None.
        cell: width in pixels.
    """
    text = max(11, cell // 20)
    font, line, margin = ImageFont.load_default(text), text + text // 2, text // 2
    drawn, lines = [], 1
    for entries in notes:
        placed, left, number = [], margin, 0
        for words, color in entries or ():
            width = (0 if color is None else line) + int(font.getlength(words)) + 1
            if left > margin and left + width > cell - margin:
                left, number = margin, number + 1
            placed.append((left, margin // 2 + number * line, words, color))
            left += width + margin
        drawn.append(placed)
        lines = max(lines, number + 1)
    # A plate taller than wide would be scaled down.
    size = (cell, min(cell, lines * line + margin))
    return [_text_box(placed, size, font, text) if placed else None for placed in drawn]


def _text_box(placed, size, font, text):
    plate = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(plate)
    for left, top, words, color in placed:
        if color is not None:
            draw.rectangle((left, top + 2, left + text - 1, top + text + 1), color)
            left += text + text // 2
        draw.text((left, top + text // 2 + 2), words, TEXT_COLOR, font, anchor="lm")
    return np.asarray(plate)


def _names(class_names, classes):
    if class_names is None:
        return ["background", *(f"class {number}" for number in range(1, classes))]
    if len(class_names) != classes:
        raise ValueError(
            f"`class_names` must have a name for each of the {classes} classes. "
            f"Received: {len(class_names)} names"
        )
    return list(class_names)


def _checked(name, values, image, classes):
    array = np.asarray(values, np.float32)
    if array.ndim != 3 or array.shape[:2] != image.shape[:2] or array.shape[-1] != classes:
        raise ValueError(
            f"`{name}` must have shape (height, width, classes) for the image and its classes, "
            f"{(*image.shape[:2], classes)}. Received: shape={array.shape}"
        )
    # Negated so that NaN fails the comparison too.
    if not (array.min() >= -_TOLERANCE and array.max() <= 1 + _TOLERANCE):
        raise ValueError(
            f"`{name}` must lie within [0, 1]. Received: values from {array.min():g} to {array.max():g}"
        )
    return np.clip(array, 0.0, 1.0)
