"""Gaussian kernels of a window, computed once and applied many times."""

import functools

import numpy as np
from keras import ops

from keras_wsseg.ops import backend, tiles
from keras_wsseg.ops.self_adjoint import self_adjoint


class WindowedKernels:
    """Weighted, normalized sums over the window around each pixel, for values in tile order.

    The matrix of all pairs of a tile's pixels and its halo's is computed once, about `4 (8 + 2 radius)^2`
    bytes per pixel, for every `apply` and its gradient. There is one matrix for all kernels, or one for each
    if their weights are tensors or their rows are normalized.

    Args:
        features: list, one per kernel: `(batch, height, width, channels)` divided by sigma, or None.
        sigmas_xy: one number per kernel, in pixels, or None if position is ignored within the window.
        weights: one number or scalar tensor per kernel.
        size: `(batch, height, width)` of the images, integers or scalar tensors.
        radius: window radius in pixels, at least 1.
        normalization: `"symmetric"`, `"row"` or `"none"`.
        include_self: whether a pixel is its own neighbor.
    """

    def __init__(self, features, sigmas_xy, weights, size, radius, normalization, include_self):
        self._height, self._width = size[1:]
        # The grid has whole tiles only; pixels beyond the image are masked here, for the row sums.
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
        """Arranges `(batch, height, width, channels)` in the order of `apply`."""
        return self._grid.to_tiles(ops.pad(images, [[0, 0], [0, self._rows], [0, self._columns], [0, 0]]))

    def restore(self, values):
        """Inverts `arrange`."""
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
        # As a matrix product the exponent would lose precision, an error that later steps amplify.
        squares = 0.0
        for channel in range(feature.shape[-1]):
            own = anchors[..., channel : channel + 1]
            squares = squares + ops.square(own - self._halo_row(own))
        return spatial * ops.exp(-0.5 * squares)

    def _normalized(self, matrix, normalization, factor):
        """The matrix, always symmetric, and the divisor still to be applied to its product."""
        sums = None if normalization == "none" else backend.matmul_float32(matrix, self._halo(self._inside))
        # With pixels beyond the image excluded from rows and columns, the filter is its own adjoint.
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
        # One channel with the pixels last: the ONNX converter gives a wrong result for a transpose instead.
        return ops.reshape(self._halo(values), (-1, self._grid.tiles, 1, self._grid.halo_size))

    def _filter(self, matrix, values):
        # Automatic differentiation would turn the gather into a scatter.
        return self_adjoint(lambda x: backend.matmul_float32(matrix, self._halo(x)))(values)


@functools.lru_cache(maxsize=16)
def spatial_kernel(radius, sigma, include_self):
    """The factor of the kernel due to positions within a tile and its halo, the same for every tile.

    Args:
        radius: window radius in pixels.
        sigma: sigma in pixels, or None if position is ignored within the window.
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
