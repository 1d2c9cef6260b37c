"""Positions of the pixels of a grid."""

from keras import ops


def grid_positions(batch, height, width, steps=(1, 1)):
    """Row and column of every pixel, `(batch, height, width, 2)`, float32.

    Args:
        batch, height, width: integers or scalar tensors.
        steps: distances between rows and between columns.
    """
    places = [
        ops.arange(size, dtype="float32") * step for size, step in zip((height, width), steps, strict=True)
    ]
    grid = ops.stack(ops.meshgrid(*places, indexing="ij"), axis=-1)
    return ops.broadcast_to(grid, (batch, height, width, 2))
