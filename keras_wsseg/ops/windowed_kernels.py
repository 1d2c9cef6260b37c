"""Gaussian kernels of a window, computed once and applied many times."""

import functools

import numpy as np
from keras import ops

from keras_wsseg.ops import backend, tiles
from keras_wsseg.ops.self_adjoint import self_adjoint


class WindowedKernels:
    """Weighted, normalized sums over the window around each pixel, for values that stay in tile order.

    The matrix of all pairs of a tile's pixels and its halo's is computed here, about
    `4 (8 + 2 radius)^2` bytes a pixel, and serves every `apply` and its gradient. There is one matrix for all
    kernels, or one each where their weights are tensors or their rows are normalized.

    Args:
        features: list, one a kernel: `(batch, height, width, channels)` divided by sigma, or None.
        sigmas_xy: as many numbers in pixels, or None where position does not matter within the window.
        weights: as many numbers or scalar tensors.
        size: `(batch, height, width)` of the images, integers or scalar tensors.
        radius: pixels, at least 1.
        normalization: `"symmetric"`, `"row"` or `"none"`.
        include_self: whether a pixel is its own neighbor.
    """

    def __init__(self, features, sigmas_xy, weights, size, radius, normalization, include_self):
        self._height, self._width = size[1:]
        # The grid gets whole tiles only: what lies beyond the image is told apart here, for the row sums.
        self._rows, self._columns = ((n + tiles.TILE - 1) // tiles.TILE * tiles.TILE - n for n in size[1:])
        self._grid = tiles.TileGrid(self._height + self._rows, self._width + self._columns, radius)
        self._inside = self.arrange(ops.ones(size, "float32")[..., None])
        together = normalization != "row" and all(isinstance(weight, int | float) for weight in weights)
        self._terms = []
        for feature, xy, weight in zip(features, sigmas_xy, weights, strict=True):
            matrix = self._matrix(feature, spatial_kernel(radius, xy, include_self))
            matrix, divisor = self._normalized(matrix, normalization, weight if together else 1.0)
            self._terms.append((1.0 if together else weight, matrix, divisor))
        if together:
            self._terms = [(1.0, functools.reduce(ops.add, [matrix for _, matrix, _ in self._terms]), None)]

    def arrange(self, images):
        """Brings `(batch, height, width, channels)` into the order that `apply` works in."""
        return self._grid.to_tiles(ops.pad(images, [[0, 0], [0, self._rows], [0, self._columns], [0, 0]]))

    def restore(self, values):
        """Undoes `arrange`."""
        return self._grid.to_image(values)[:, : self._height, : self._width]

    def apply(self, values):
        """`sum_m w_m sum_j k_m(i, j) v_j`, differentiable with respect to values and weights."""
        total = 0.0
        for weight, matrix, divisor in self._terms:
            sums = self._filter(matrix, values)
            total = total + weight * (sums if divisor is None else ops.divide_no_nan(sums, divisor))
        return total

    def _matrix(self, feature, spatial):
        if feature is None:
            return ops.convert_to_tensor(spatial)
        anchors = self.arrange(ops.stop_gradient(feature))
        # As a matrix product the exponent would lose digits, which the steps to come amplify.
        squares = 0.0
        for channel in range(feature.shape[-1]):
            own = anchors[..., channel : channel + 1]
            squares = squares + ops.square(own - self._halo_row(own))
        return spatial * ops.exp(-0.5 * squares)

    def _normalized(self, matrix, normalization, factor):
        """The matrix, symmetric in any case, and what its product is yet to be divided by."""
        sums = None if normalization == "none" else backend.matmul_float32(matrix, self._halo(self._inside))
        # Without places beyond the image, in rows or columns, the filter is its own adjoint.
        rows, columns = self._inside, self._halo_row(self._inside)
        if normalization == "symmetric":
            rows = rows * ops.divide_no_nan(ops.ones_like(sums), ops.sqrt(sums))
            columns, sums = self._halo_row(rows), None
        return matrix * (factor * rows) * columns, sums

    def _halo(self, values):
        places = ops.reshape(self._grid.table, (-1,))
        halo = ops.take(self._grid.with_outside(values), places, axis=1)
        return ops.reshape(halo, (-1, self._grid.tiles, self._grid.halo_size, values.shape[-1]))

    def _halo_row(self, values):
        # One channel with the pixels last. Transposed instead, it comes out of the ONNX converter wrong.
        return ops.reshape(self._halo(values), (-1, self._grid.tiles, 1, self._grid.halo_size))

    def _filter(self, matrix, values):
        # Differentiated by itself, the gather would become a scatter.
        return self_adjoint(lambda x: backend.matmul_float32(matrix, self._halo(x)))(values)


@functools.lru_cache(maxsize=16)
def spatial_kernel(radius, sigma, include_self):
    """What the places of a tile's pixel and its halo's give to their kernel: the same for every tile.

    Args:
        radius: pixels.
        sigma: pixels, or None where position does not matter within the window.
        include_self: whether a pixel is its own neighbor.

    Returns:
        NumPy float32 `(TILE * TILE, (TILE + 2 * radius) ** 2)`, zero beyond the window.
    """
    offset = (np.arange(tiles.TILE + 2 * radius) - radius)[None, :] - np.arange(tiles.TILE)[:, None]
    kernel = tiles.window_mask(radius)
    if include_self:
        same = (offset == 0).astype("float32")
        kernel = kernel + np.kron(same, same)
    if sigma is not None:
        near = np.exp(-0.5 * np.square(offset / sigma))
        kernel = kernel * np.kron(near, near)
    return kernel.astype("float32")
