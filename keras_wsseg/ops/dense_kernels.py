"""Fully connected Gaussian kernels, built once and applied many times."""

from keras import ops

from keras_wsseg.ops import backend
from keras_wsseg.ops.dense_gaussian import dense_gaussian_kernel
from keras_wsseg.ops.positions import grid_positions


class DenseKernels:
    """Weighted, normalised sums over all pixels, the counterpart of `WindowedKernels`.

    Args:
        features: list, one a kernel: `(batch, height, width, channels)` divided by sigma, or None.
        sigmas_xy: as many numbers in pixels, or None where position does not matter.
        weights: as many numbers or scalar tensors.
        size: `(batch, height, width)` of the pictures, integers or scalar tensors.
        normalization: `"symmetric"`, `"row"` or `"none"`.
        include_self: whether a pixel is its own neighbour.
        **options: of `dense_gaussian_kernel`: method, landmarks and seed.
    """

    def __init__(self, features, sigmas_xy, weights, size, normalization, include_self, **options):
        self._height, self._width = size[1:]
        self._normalization, self._include_self = normalization, include_self
        self._terms = []
        for feature, xy, weight in zip(features, sigmas_xy, weights, strict=True):
            operator = self._operator(feature, xy, size, options)
            self._terms.append((weight, operator, self._row_sums(operator, size)))

    def arrange(self, images):
        """Brings `(batch, height, width, channels)` into the order that `apply` works in."""
        return ops.reshape(images, (-1, self._height * self._width, images.shape[-1]))

    def restore(self, values):
        """Undoes `arrange`."""
        return ops.reshape(values, (-1, self._height, self._width, values.shape[-1]))

    def apply(self, values):
        """`sum_m w_m sum_j k_m(i, j) v_j`, differentiable with respect to values and weights."""
        total = 0.0
        for weight, operator, row_sums in self._terms:
            if self._normalization == "symmetric":
                roots = ops.rsqrt(row_sums)
                sums = roots * self._sums(operator, roots * values)
            else:
                sums = self._sums(operator, values)
                sums = sums if row_sums is None else sums / row_sums
            total = total + weight * sums
        return total

    def _operator(self, feature, xy, size, options):
        if feature is None:
            return SeparableGaussian(*size[1:], xy)
        feature = ops.stop_gradient(feature)
        if xy is not None:
            feature = ops.concatenate([grid_positions(*size) / xy, feature], axis=-1)
        return dense_gaussian_kernel(self.arrange(feature), **options)

    def _row_sums(self, operator, size):
        if self._normalization == "none":
            return None
        ones = ops.ones((size[0], self._height * self._width, 1), "float32")
        sums = ops.stop_gradient(self._sums(operator, ones))
        # With the pixel itself no exact sum is below 1. Without it, a pixel that resembles no other shall
        # receive little instead of rounding errors.
        return ops.maximum(sums, 1.0 if self._include_self else 1e-3)

    def _sums(self, operator, values):
        sums = operator.apply(values)
        return sums if self._include_self else sums - values


class SeparableGaussian:
    """`sum_q exp(-|p - q|^2 / 2 sigma^2) v_q` over the pixels of a grid: exact, in one product an axis.

    Args:
        height, width: size of the grid, integers or scalar tensors.
        sigma: pixels.
    """

    def __init__(self, height, width, sigma):
        self._height, self._width = height, width
        self._rows, self._columns = (_toeplitz(n, sigma) for n in (height, width))

    def apply(self, values):
        """The sums: `(batch, pixels, channels)`, row by row, to the same shape."""
        channels = values.shape[-1]
        values = ops.reshape(values, (-1, self._height, self._width * channels))
        values = backend.matmul_float32(self._rows, values)
        values = ops.reshape(values, (-1, self._width, channels))
        values = backend.matmul_float32(self._columns, values)
        return ops.reshape(values, (-1, self._height * self._width, channels))


def _toeplitz(size, sigma):
    place = ops.cast(ops.arange(size), "float32") / sigma
    return ops.exp(-0.5 * ops.square(place[:, None] - place[None, :]))
