"""From the grid of the labels to the grid on which a loss is computed."""

from keras import ops

from keras_wsseg.ops.resize import resize_area


def scaled_size(size, scale):
    """`size` times `scale`, at least one pixel; an integer where `size` is one, else a scalar tensor."""
    if isinstance(size, int):
        return max(1, round(size * scale))
    return ops.maximum(1, ops.cast(ops.round(ops.cast(size, "float32") * scale), "int32"))


def whole_cells(mask, height, width):
    """1 for each cell of a `height` x `width` grid all of whose pixels are in the mask, else 0.

    Args:
        mask: `(batch, h, w)`, boolean.

    Returns:
        `(batch, height, width)`, float32.
    """
    share = resize_area(ops.cast(mask, "float32")[..., None], (height, width))[..., 0]
    # Overlaps are rounded: a cell counts as whole from one part in a thousand on.
    return ops.cast(share > 0.999, "float32")
