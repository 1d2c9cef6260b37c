"""Fully connected Gaussian kernels, built once and applied many times."""

from keras import ops

from keras_wsseg.ops import backend
from keras_wsseg.ops.dense_gaussian import dense_gaussian_kernel
from keras_wsseg.ops.positions import grid_positions


class DenseKernels:
    """Weighted, normalized sums over all pixels, the counterpart of `WindowedKernels`.

    Args:
        features: list, one per kernel: `(batch, height, width, channels)` divided by sigma, or None.
        sigmas_xy: one number per kernel, in pixels, or None if position is ignored; a pair of numbers, for
            rows and columns, if pixels are not square.
        weights: one number or scalar tensor per kernel.
        size: `(batch, height, width)` of the images, integers or scalar tensors.
        normalization: `"symmetric"`, `"row"` or `"none"`.
        include_self: whether a pixel is its own neighbor.
        **options: passed to `dense_gaussian_kernel`: filter_method, landmarks, seed and mask.
    """

    def __init__(self, features, sigmas_xy, weights, size, normalization, include_self, **options):
        self._height, self._width = size[1:]
        self._normalization, self._include_self = normalization, include_self
        self._terms = []
        for feature, xy, weight in zip(features, sigmas_xy, weights, strict=True):
            operator = self._operator(feature, xy, size, options)
            own = None if include_self else operator.diagonal()
            self._terms.append((weight, operator, own, self._row_sums(operator, own, size)))

    def arrange(self, images):
        """Arranges `(batch, height, width, channels)` in the order of `apply`."""
        return ops.reshape(images, (-1, self._height * self._width, images.shape[-1]))

    def restore(self, values):
        """Inverts `arrange`."""
        return ops.reshape(values, (-1, self._height, self._width, values.shape[-1]))

    def apply(self, values):
        """`sum_m w_m sum_j k_m(i, j) v_j`, differentiable with respect to values and weights."""
        total = 0.0
        for weight, operator, own, row_sums in self._terms:
            if self._normalization == "symmetric":
                roots = ops.rsqrt(row_sums)
                sums = roots * self._sums(operator, own, roots * values)
            else:
                sums = self._sums(operator, own, values)
                sums = sums if row_sums is None else sums / row_sums
            total = total + weight * sums
        return total

    def _operator(self, feature, xy, size, options):
        if feature is None:
            return SeparableGaussian(*size[1:], xy)
        feature = with_positions(ops.stop_gradient(feature), xy, size)
        return dense_gaussian_kernel(self.arrange(feature), **options)

    def _row_sums(self, operator, own, size):
        if self._normalization == "none":
            return None
        ones = ops.ones((size[0], self._height * self._width, 1), "float32")
        sums = ops.stop_gradient(self._sums(operator, own, ones))
        # With the pixel itself, no exact sum is below 1. Without it, a pixel similar to no other should
        # receive little rather than amplified rounding errors.
        return ops.maximum(sums, 1.0 if self._include_self else 1e-3)

    def _sums(self, operator, own, values):
        sums = operator.apply(values)
        return sums if self._include_self else sums - own * values


def with_positions(feature, xy, size):
    """Features of a kernel, preceded by its position features.

    Args:
        feature: `(batch, height, width, channels)` divided by sigma, or None.
        xy: sigma of the position in pixels, or a pair for rows and columns, or None if it is ignored.
        size: `(batch, height, width)`, integers or scalar tensors.

    Returns:
        `(batch, height, width, channels)`.
    """
    if xy is None:
        return feature
    xy = ops.stack(xy) if isinstance(xy, tuple) else xy
    positions = grid_positions(*size) / xy
    return positions if feature is None else ops.concatenate([positions, feature], axis=-1)


class SeparableGaussian:
    """`sum_q exp(-|p - q|^2 / 2 sigma^2) v_q` over the pixels of a grid: exact, one matrix product per axis.

    Args:
        height, width: size of the grid, integers or scalar tensors.
        sigma: pixels, or a pair of them for rows and columns.
    """

    def __init__(self, height, width, sigma):
        self._height, self._width = height, width
        sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
        self._rows, self._columns = map(_toeplitz, (height, width), sigmas)

    def apply(self, values):
        """The sums: `(batch, pixels, channels)`, row by row, to the same shape."""
        channels = values.shape[-1]
        values = ops.reshape(values, (-1, self._height, self._width * channels))
        values = backend.matmul_float32(self._rows, values)
        values = ops.reshape(values, (-1, self._width, channels))
        values = backend.matmul_float32(self._columns, values)
        return ops.reshape(values, (-1, self._height * self._width, channels))

    def diagonal(self):
        """The weight of a pixel's own value in its sum: `(1, pixels, 1)` of ones."""
        return ops.ones((1, self._height * self._width, 1), "float32")


def _toeplitz(size, sigma):
    place = ops.cast(ops.arange(size), "float32") / sigma
    return ops.exp(-0.5 * ops.square(place[:, None] - place[None, :]))
