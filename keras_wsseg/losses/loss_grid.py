"""Conversion from the grid of the labels to the grid on which a loss is computed."""

from keras import ops

from keras_wsseg.ops.positions import grid_positions
from keras_wsseg.ops.resize import resize_area


def grid_size(labels, resolution, prediction=None):
    """Height and width of a loss's grid.

    Args:
        labels: `(batch, height, width)`, of the image's size.
        resolution: side of the grid relative to the image.
        prediction: `(batch, h, w, classes)`, whose size the grid must not exceed, or None.

    Returns:
        `(height, width)`, at least 1 each: integers if the sizes are static, else scalar tensors.
    """
    sizes = [_scaled(size, resolution) for size in ops.shape(labels)[1:3]]
    if prediction is not None:
        sizes = [_smaller(*pair) for pair in zip(sizes, ops.shape(prediction)[1:3], strict=True)]
    return tuple(sizes)


def image_positions(labels, height, width):
    """Positions of a grid's cells in the image, `(batch, height, width, 2)`, in pixels of the image."""
    batch, *full = ops.shape(labels)
    steps = [
        ops.cast(whole, "float32") / ops.cast(size, "float32")
        for whole, size in zip(full, (height, width), strict=True)
    ]
    return grid_positions(batch, height, width, steps)


def _scaled(size, resolution):
    if isinstance(size, int):
        return max(1, round(size * resolution))
    return ops.maximum(1, ops.cast(ops.round(ops.cast(size, "float32") * resolution), "int32"))


def _smaller(one, other):
    return min(one, other) if isinstance(one, int) and isinstance(other, int) else ops.minimum(one, other)


def whole_cells(mask, height, width):
    """1 for each cell of a `height` x `width` grid whose pixels are all in the mask, else 0.

    Args:
        mask: `(batch, h, w)`, boolean.

    Returns:
        `(batch, height, width)`, float32.
    """
    share = resize_area(ops.cast(mask, "float32")[..., None], (height, width))[..., 0]
    # Area overlaps are subject to rounding: tolerate one part in a thousand.
    return ops.cast(share > 0.999, "float32")
