"""Fully connected Gaussian sums by the Nyström approximation."""

import numpy as np
from keras import ops

from keras_wsseg.ops import backend
from keras_wsseg.ops.gaussian_matrix import exact_gaussian_matrix, gaussian_matrix
from keras_wsseg.ops.pixel_sample import sample_pixels

CANDIDATES = 8
"""Candidate pixels per landmark; more take longer and gain little."""

LLOYD_STEPS = 2
"""Steps of k-means; a third gains little."""

JITTER = 1e-3
"""Added to the diagonal of the landmarks' own kernel: float32 requires it, and the error is unaffected."""


class NystromGaussian:
    r"""`sum_q exp(-|f_p - f_q|^2 / 2) v_q` through landmarks: `K_nm (K_mm + eps I)^-1 K_mn v`.

    It uses only matrix products and one Cholesky factor per image; time and memory are linear in the pixels.
    The operator is symmetric and positive semi-definite. Half of the landmarks start at random pixels and
    half at pixels not covered by these, so that rare colors are represented; k-means then moves them to their
    cluster centers (Zhang, Tsang & Kwok 2008, "Improved Nyström low-rank approximation and error analysis").

    Args:
        features: `(batch, pixels, channels)`, already divided by sigma. No gradient flows to them.
        landmarks: number of landmarks; with more, the error falls and the time grows.
        seed: seed of the sample; the same seed gives the same landmarks.
        mask: `(batch, pixels)`, 1 for the pixels among which landmarks are chosen. All by default.

    Source: Williams & Seeger 2000, "Using the Nyström method to speed up kernel machines", equation 8.
    """

    def __init__(self, features, landmarks=512, seed=0, mask=None):
        features = ops.cast(ops.stop_gradient(features), "float32")
        features = features - ops.mean(features, axis=1, keepdims=True)
        centers = choose_landmarks(features, landmarks, seed, mask)
        # The rounding error of a matrix product may exceed the jitter, and the factorization would fail.
        own = exact_gaussian_matrix(centers, centers)
        self.factor = ops.cholesky(own + JITTER * ops.eye(centers.shape[1]))
        self.kernel = gaussian_matrix(features, centers)

    def apply(self, values):
        """The sums: `(batch, pixels, channels)` to the same shape, float32, differentiable in `values`."""
        gathered = backend.matmul_float32(ops.swapaxes(self.kernel, 1, 2), ops.cast(values, "float32"))
        half = ops.solve_triangular(self.factor, gathered, lower=True)
        core = ops.solve_triangular(ops.swapaxes(self.factor, 1, 2), half, lower=False)
        return backend.matmul_float32(self.kernel, core)

    def diagonal(self):
        """The weight of a pixel's own value in its sum: `(batch, pixels, 1)`, 1 minus what landmarks miss.

        This is the diagonal of the approximation itself, at the cost of its sums over as many channels as
        there are landmarks.
        """
        half = ops.solve_triangular(self.factor, ops.swapaxes(self.kernel, 1, 2), lower=True)
        return ops.sum(ops.square(half), axis=1)[..., None]


def choose_landmarks(features, count, seed, mask=None):
    """Centers of k-means over a sample of the pixels.

    Args:
        features: `(batch, pixels, channels)`, float32.
        count: number of landmarks; limited to the number of pixels if that is static.
        seed: seed of the sample.
        mask: `(batch, pixels)`, 1 for the pixels to sample from. All by default.

    Returns:
        `(batch, count, channels)`.
    """
    batch, pixels, size = *ops.shape(features)[:2], features.shape[-1]
    if isinstance(pixels, int):
        count = min(count, pixels)
    sampled = CANDIDATES * count
    if isinstance(pixels, int):
        sampled = min(sampled, pixels)
    sample, _ = sample_pixels(features, sampled, seed, mask)
    centers = _spread(sample, count, seed)
    firsts = ops.arange(batch, dtype="int32")[:, None] * count
    counted = ops.reshape(ops.pad(sample, [[0, 0], [0, 0], [0, 1]], constant_values=1.0), (-1, size + 1))
    for _ in range(LLOYD_STEPS):
        reach = backend.matmul_float32(sample, ops.swapaxes(centers, 1, 2))
        reach = reach - 0.5 * ops.sum(ops.square(centers), axis=-1)[:, None, :]
        nearest = ops.reshape(firsts + ops.cast(ops.argmax(reach, axis=-1), "int32"), (-1,))
        sums = ops.segment_sum(counted, nearest, num_segments=batch * count)
        sums = ops.reshape(sums, (batch, count, size + 1))
        held = sums[..., size:]
        centers = ops.where(held > 0, sums[..., :size] / ops.maximum(held, 1.0), centers)
    return centers


def _spread(sample, count, seed):
    """`count` pixels of the sample: half at random, half with probability of being missed by the first."""
    generator = np.random.default_rng((seed, 1) if seed >= 0 else (-seed, 2))
    order = generator.permutation(sample.shape[1])
    first = ops.take(sample, order[: (count + 1) // 2], axis=1)
    rest = ops.take(sample, order[(count + 1) // 2 :], axis=1)
    if count == 1:
        return first
    nearest = ops.max(gaussian_matrix(rest, first), axis=-1)
    missed = ops.log(ops.maximum(1.0 - ops.square(nearest), 1e-6))
    # Gumbel top-k: the largest values after adding Gumbel noise are a sample without replacement.
    noise = -np.log(-np.log(generator.uniform(1e-6, 1 - 1e-6, len(order) - (count + 1) // 2)))
    _, chosen = ops.top_k(missed + noise.astype("float32"), count // 2)
    return ops.concatenate([first, ops.take_along_axis(rest, chosen[..., None], axis=1)], axis=1)
