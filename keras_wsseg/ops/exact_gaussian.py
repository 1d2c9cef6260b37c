"""Exact fully connected Gaussian sums, computed in blocks of rows."""

from keras import ops

from keras_wsseg.ops import backend
from keras_wsseg.ops.gaussian_matrix import gaussian_matrix
from keras_wsseg.ops.self_adjoint import self_adjoint


class ExactGaussian:
    """`sum_q exp(-|f_p - f_q|^2 / 2) v_q` by the definition, a few rows of the matrix at a time.

    Time is quadratic in the number of pixels, memory linear. It is the reference for the approximations, and
    the fastest method on small images and on accelerators.

    Args:
        features: `(batch, pixels, channels)`, already divided by sigma. No gradient flows to them.
    """

    def __init__(self, features):
        features = ops.cast(ops.stop_gradient(features), "float32")
        self.features = features - ops.mean(features, axis=1, keepdims=True)

    def apply(self, values):
        """The sums: `(batch, pixels, channels)` to the same shape, float32, differentiable in `values`."""
        return self_adjoint(self._sums)(ops.cast(values, "float32"))

    def diagonal(self):
        """The weight of a pixel's own value in its sum: `(batch, pixels, 1)` of ones."""
        return ops.ones_like(self.features[..., :1])

    def _sums(self, values):
        batch, pixels, size = *ops.shape(self.features)[:2], self.features.shape[-1]
        channels = values.shape[-1]
        static = isinstance(batch, int) and isinstance(pixels, int)
        at_least_one = max if static else ops.maximum
        most = at_least_one(backend.kernel_budget() // at_least_one(batch * pixels, 1), 1)
        # Not -(-pixels // most): ONNX rounds the quotient of a negative number towards zero.
        chunks = at_least_one((pixels + most - 1) // most, 1)
        chunk = (pixels + chunks - 1) // chunks
        spare = chunks * chunk - pixels
        rows = ops.pad(self.features, [[0, 0], [0, spare], [0, 0]])
        rows = ops.transpose(ops.reshape(rows, (batch, chunks, chunk, size)), (1, 0, 2, 3))

        def one_chunk(anchors):
            return backend.matmul_float32(gaussian_matrix(anchors, self.features), values)

        sums = one_chunk(rows[0])[None] if static and chunks == 1 else ops.map(one_chunk, rows)
        sums = ops.transpose(sums, (1, 0, 2, 3))
        return ops.reshape(sums, (batch, chunks * chunk, channels))[:, :pixels]
