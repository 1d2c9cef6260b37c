"""Predictions of a segmenter while the width of its sparse CRF is annealed."""

import numpy as np

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.labels import UNLABELED
from keras_wsseg.imaging.overlay import checked_labels, overlay
from keras_wsseg.imaging.rgb import rgb_image
from keras_wsseg.visualization.contact_sheet import contact_sheet
from keras_wsseg.visualization.film_strip import film_strip
from keras_wsseg.visualization.neighbor_weights import neighbor_weights_image

SHOWN = ("probability", "mask")

_CAPTIONS = {
    "probability": "above: weights of neighbors, dark at edges; below: the object's probability, white 1",
    "mask": "above: weights of neighbors, dark at edges; below: the object in color",
}
_TOLERANCE = 1e-3


def annealing_sheet(
    images,
    sigmas,
    probabilities,
    titles=None,
    truth=None,
    object_class=1,
    show="probability",
    value_range=(0, 255),
    cell=160,
):
    """A chart of annealing: for each epoch, the weights between neighbors and the prediction below them.

    It shows when training finds the object: while sigma is small, there are many edges along which a mask can
    grow; once sigma has grown, the remaining edges hold the mask in place.

    Args:
        images: list of images `(height, width)` or `(height, width, 1 or 3)`, of any sizes.
        sigmas: the sigma of each epoch, for an image in [0, 1], above 0.
        probabilities: for each epoch a list of `(height, width, classes)`, one per image.
        titles: title of each epoch's column, before its sigma; by default `epoch 1` and so on.
        truth: list of label maps `(height, width)`, whose object is shown below the image; for None the image
            is shown again.
        object_class: class id of the object.
        show: `"probability"`, that of the object in gray, or `"mask"`, in color where the object has the
            highest probability.
        value_range: the values of black and white in `images`.
        cell: maximum width and height of an image on the sheet, in pixels.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError: if `truth` is not of integers.
        ValueError: if the lists differ in length, sizes do not match, or a value is out of range.

    Example:

    >>> image, p = np.zeros((8, 8), np.uint8), np.full((8, 8, 2), 0.5)
    >>> annealing_sheet([image], sigmas=[0.05, 0.1], probabilities=[[p], [p]]).dtype
    dtype('uint8')

    Source: Veksler, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", 2020,
    figure 2.
    """
    titles = [f"epoch {number + 1}" for number in range(len(sigmas))] if titles is None else titles
    for name, values in (("probabilities", probabilities), ("titles", titles)):
        if len(values) != len(sigmas):
            raise ValueError(
                f"`{name}` must have an entry for each of the {len(sigmas)} epochs. "
                f"Received: {len(values)} entries"
            )
    columns = [
        annealing_column(images, sigma, maps, title, object_class, show, value_range, cell)
        for sigma, maps, title in zip(sigmas, probabilities, titles, strict=True)
    ]
    return annealing_film(images, columns, truth, object_class, show, value_range, cell)


def annealing_column(
    images,
    sigma,
    probabilities,
    title,
    object_class=1,
    show="probability",
    value_range=(0, 255),
    cell=160,
):
    """One epoch of an `annealing_sheet`.

    Args:
        sigma: the sigma of the epoch.
        probabilities: list of `(height, width, classes)`, one per image.
        title: title of the column, before sigma.
        images, object_class, show, value_range, cell: as for `annealing_sheet`.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError, ValueError: as `annealing_sheet`.

    Example:

    >>> image, p = np.zeros((8, 8), np.uint8), np.full((8, 8, 2), 0.5)
    >>> annealing_column([image], 0.05, [p], "epoch 1").shape[-1]
    3
    """
    checked_show(show)
    sigma = float(check_number("sigma", sigma, above=0))
    number = check_integer("object_class", object_class, low=0)
    _check_length("probabilities", probabilities, images)
    rows = []
    for image, one in zip(images, probabilities, strict=True):
        rgb = rgb_image(image, value_range)
        one = _checked(one, rgb.shape[:2], number)
        rows.append([neighbor_weights_image(image, sigma, value_range)])
        mask = np.argmax(one, axis=-1) == number
        rows.append([_drawn(rgb, one[..., number], mask, number, show)])
    return contact_sheet(rows, [f"{title}, sigma {sigma:.3f}"], cell=cell)


def annealing_film(
    images, columns, truth=None, object_class=1, show="probability", value_range=(0, 255), cell=160
):
    """An `annealing_sheet` from existing columns.

    Args:
        columns: the result of `annealing_column` for each epoch.
        images, truth, object_class, show, value_range, cell: as for `annealing_sheet`.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError, ValueError: as `annealing_sheet`.

    Example:

    >>> image, p = np.zeros((8, 8), np.uint8), np.full((8, 8, 2), 0.5)
    >>> column = annealing_column([image], 0.05, [p], "epoch 1")
    >>> annealing_film([image], [column]).shape[-1]
    3
    """
    checked_show(show)
    number = check_integer("object_class", object_class, low=0)
    if truth is not None:
        _check_length("truth", truth, images)
    rows = []
    for image, labels in zip(images, truth or [None] * len(images), strict=True):
        rgb = rgb_image(image, value_range)
        # Repeating the image keeps the rows of all columns aligned; a blank would look like an object.
        below = rgb
        if labels is not None:
            mask = checked_labels(labels, rgb.shape[:2], "truth") == number
            below = _drawn(rgb, mask, mask, number, show)
        rows += [[rgb], [below]]
    title = "image" if truth is None else "image, truth"
    return film_strip([contact_sheet(rows, [title], cell=cell), *columns], _CAPTIONS[show])


def checked_show(show):
    """Returns `show` if it is one of `SHOWN`, else raises a `ValueError`."""
    if show not in SHOWN:
        raise ValueError(f"`show` must be one of {SHOWN}. Received: show={show!r}")
    return show


def _drawn(image, probability, mask, number, show):
    if show == "probability":
        return np.rint(255 * probability).astype(np.uint8)
    return overlay(image, np.where(mask, number, UNLABELED))


def _check_length(name, values, images):
    if len(values) != len(images):
        raise ValueError(
            f"`{name}` must have an entry for each of the {len(images)} images. "
            f"Received: {len(values)} entries"
        )


def _checked(probabilities, size, number):
    array = np.asarray(probabilities)
    if array.ndim != 3 or array.shape[:2] != tuple(size):
        raise ValueError(
            f"`probabilities` must have shape (height, width, classes) of the image, {tuple(size)}. "
            f"Received: shape={array.shape}"
        )
    if number >= array.shape[-1]:
        raise ValueError(
            f"`object_class` must be a class id from 0 to {array.shape[-1] - 1}. "
            f"Received: object_class={number}"
        )
    # Negated so that NaN fails the comparison too.
    if not (array.min() >= -_TOLERANCE and array.max() <= 1 + _TOLERANCE):
        raise ValueError(
            "`probabilities` must lie within [0, 1], such as the softmax of logits. "
            f"Received: values from {array.min():g} to {array.max():g}"
        )
    return np.clip(array, 0.0, 1.0)
