"""Square tiles with a halo, which turn windowed kernels into matrix products at any image size."""

import functools

import numpy as np
from keras import ops

from keras_wsseg.ops.gaussian_matrix import gaussian_matrix

TILE = 8
"""Side of a tile. Smaller tiles have more halo per pixel, larger ones more pairs outside the window."""


class TileGrid:
    """Layout of the tiles of a `height` x `width` image and their halos.

    Pixels in *tile order* are `(batch, tiles, TILE * TILE, channels)`, the tiles row by row and the pixels of
    a tile row by row; the last row and column of tiles may extend beyond the image. A halo is a tile extended
    by `radius` on each side.

    Args:
        height, width: size of the image: integers, or scalar integer tensors inside a graph.
        radius: pixels by which a halo exceeds its tile on each side, at least 1.
    """

    def __init__(self, height, width, radius):
        self.height, self.width, self.radius = height, width, radius
        self.rows = _tile_count(height)
        self.columns = _tile_count(width)
        self.halo_size = (TILE + 2 * radius) ** 2
        if isinstance(height, int) and isinstance(width, int):
            self.table, self.valid = _static_tables(height, width, radius)
        else:
            self.table, self.valid = _tables(ops, height, width, radius)

    @property
    def tiles(self):
        """The number of tiles."""
        return self.rows * self.columns

    def to_tiles(self, images):
        """Arranges `(batch, height, width, channels)` in tile order, with zeros beyond the image."""
        channels = images.shape[-1]
        below, right = self.rows * TILE - self.height, self.columns * TILE - self.width
        images = ops.pad(images, [[0, 0], [0, below], [0, right], [0, 0]])
        images = ops.reshape(images, (-1, self.rows, TILE, self.columns, TILE, channels))
        images = ops.transpose(images, (0, 1, 3, 2, 4, 5))
        return ops.reshape(images, (-1, self.tiles, TILE * TILE, channels))

    def to_image(self, tiles):
        """Inverts `to_tiles`."""
        channels = tiles.shape[-1]
        tiles = ops.reshape(tiles, (-1, self.rows, self.columns, TILE, TILE, channels))
        tiles = ops.transpose(tiles, (0, 1, 3, 2, 4, 5))
        tiles = ops.reshape(tiles, (-1, self.rows * TILE, self.columns * TILE, channels))
        return tiles[:, : self.height, : self.width]

    def with_outside(self, tiles):
        """Flattens the tiles and appends a row of zeros, to which the table refers beyond the image."""
        flat = ops.reshape(tiles, (-1, self.tiles * TILE * TILE, tiles.shape[-1]))
        return ops.pad(flat, [[0, 0], [0, 1], [0, 0]])


def _tile_count(size):
    # Not -(-size // TILE): ONNX rounds the quotient of a negative number towards zero.
    return (size + TILE - 1) // TILE


def window_mask(radius):
    """Which pairs of a tile's pixel and its halo's pixel lie in one window, excluding the pixel itself.

    Returns:
        NumPy float32 `(TILE * TILE, (TILE + 2 * radius) ** 2)` of zeros and ones.
    """
    offset = (np.arange(TILE + 2 * radius) - radius)[None, :] - np.arange(TILE)[:, None]
    near, same = np.abs(offset) <= radius, offset == 0
    mask = near[:, None, :, None] & near[None, :, None, :]
    mask &= ~(same[:, None, :, None] & same[None, :, None, :])
    return mask.reshape(TILE * TILE, -1).astype("float32")


def gaussian_kernel(anchors, halos, valid):
    """exp(-|fa - fb|^2 / 2) between every pixel of a tile and every pixel of its halo.

    Args:
        anchors: features of the tiles' pixels, `(..., TILE * TILE, channels)`, already divided by sigma.
        halos: features of the halos' pixels, `(..., halo_size, channels)`.
        valid: `(..., TILE * TILE, 1)`, 1 where the anchor lies in the image.

    Returns:
        `(..., TILE * TILE, halo_size)`, float32.
    """
    # |f|^2 of absolute positions would lose precision at 512 px, so the tile's mean is used as the origin.
    count = ops.maximum(ops.sum(valid, axis=-2, keepdims=True), 1.0)
    center = ops.sum(anchors * valid, axis=-2, keepdims=True) / count
    return gaussian_matrix(anchors - center, halos - center)


@functools.lru_cache(maxsize=16)
def _static_tables(height, width, radius):
    table, valid = _tables(np, height, width, radius)
    return table.astype("int32"), valid.astype("float32")


def _tables(lib, height, width, radius):
    """The indices of each tile's halo in tile order, and the validity of each tile's own pixels."""
    rows, columns = _tile_count(height), _tile_count(width)
    grown = lib.arange(-radius, TILE + radius)

    def halo(count, size):
        place = (lib.arange(count) * TILE)[:, None] + grown[None, :]
        inside = lib.logical_and(place >= 0, place < size)
        return place // TILE, place % TILE, inside

    tile_y, in_y, inside_y = halo(rows, height)
    tile_x, in_x, inside_x = halo(columns, width)
    tile = tile_y[:, None, :, None] * columns + tile_x[None, :, None, :]
    place = (tile * TILE + in_y[:, None, :, None]) * TILE + in_x[None, :, None, :]
    inside = lib.logical_and(inside_y[:, None, :, None], inside_x[None, :, None, :])
    table = lib.where(inside, place, rows * columns * TILE * TILE)

    own_y = lib.reshape(lib.arange(rows * TILE) < height, (rows, 1, TILE, 1))
    own_x = lib.reshape(lib.arange(columns * TILE) < width, (1, columns, 1, TILE))
    valid = lib.reshape(lib.logical_and(own_y, own_x), (rows * columns, TILE * TILE, 1))
    table = lib.reshape(table, (rows * columns, (TILE + 2 * radius) ** 2))
    if lib is np:
        return table, valid
    return ops.cast(table, "int32"), ops.cast(valid, "float32")
