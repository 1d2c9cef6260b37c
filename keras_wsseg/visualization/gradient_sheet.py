"""The gradient of a loss for every class, next to the prediction."""

import numpy as np

from keras_wsseg.imaging.overlay import overlay
from keras_wsseg.imaging.rgb import rgb_image
from keras_wsseg.visualization.contact_sheet import contact_sheet
from keras_wsseg.visualization.loss_gradient import (
    as_probabilities,
    enlarged,
    paint_gradient,
    scaled_gradient,
)


def gradient_sheet(
    loss,
    image,
    labels,
    prediction,
    classes=None,
    class_names=None,
    palette=None,
    from_logits=False,
    value_range=(0, 255),
    show="gradient",
    percentile=99.0,
    limit=None,
    caption=None,
    cell=320,
):
    """A sheet of the image, the overlaid prediction, and a column of `loss_gradient` for each class.

    The line at the top states the gradient at which colors saturate: it is the same for all classes, so that
    the columns are comparable.

    Args:
        loss, image, labels, prediction, from_logits, value_range, show, percentile, limit: as for
            `loss_gradient`.
        classes: ids of the classes to show; by default those that are predicted anywhere.
        class_names: a name for each class, for its column title and the legend.
        palette: `(classes, 3)` red, green, blue from 0 to 255; `class_palette` by default.
        caption: text before the line at the top.
        cell: maximum width and height of an image on the sheet, in pixels.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        TypeError, ValueError: as `loss_gradient`; or if a class has no name or is not a valid id.

    Example:

    >>> from keras_wsseg import losses
    >>> image, p = np.zeros((8, 8), np.uint8), np.full((8, 8, 2), 0.5)
    >>> gradient_sheet(losses.GatedCRFLoss(), image, None, p, class_names=["cat", "dog"]).dtype
    dtype('uint8')
    """
    values, limit = scaled_gradient(
        loss, image, labels, prediction, from_logits, value_range, show, percentile, limit
    )
    known = range(values.shape[-1])
    if class_names is not None and len(class_names) != len(known):
        raise ValueError(
            f"`class_names` must have a name for each of the {len(known)} classes. "
            f"Received: {len(class_names)} names"
        )
    predicted = np.argmax(as_probabilities(prediction, from_logits), axis=-1)
    classes = np.unique(predicted).tolist() if classes is None else list(classes)
    if not classes or not set(classes) <= set(known):
        raise ValueError(f"`classes` must be ids from 0 to {len(known) - 1}. Received: classes={classes!r}")
    names = class_names or [f"class {number}" for number in known]
    shown = rgb_image(image, value_range)
    columns = {"image": shown, "prediction": overlay(shown, enlarged(predicted, shown.shape), palette)}
    titles = [*columns, *(names[k] for k in classes)]
    painted = [paint_gradient(image, values[..., k], limit, value_range) for k in classes]
    line = f"red: more of it, yellow: less; full color at ±{limit:.2g}"
    return contact_sheet(
        [[*columns.values(), *painted]],
        titles,
        class_names,
        palette,
        line if caption is None else f"{caption};  {line}",
        cell,
    )
