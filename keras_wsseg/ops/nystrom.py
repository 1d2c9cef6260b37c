"""Fully connected Gaussian sums by the Nyström approximation."""

import numpy as np
from keras import ops

from keras_wsseg.ops import backend
from keras_wsseg.ops.gaussian_matrix import exact_gaussian_matrix, gaussian_matrix
from keras_wsseg.ops.pixel_sample import sample_pixels

CANDIDATES = 8
"""Pixels for each landmark, among which the landmarks spread; more take longer and gain little."""

LLOYD_STEPS = 2
"""Steps of k-means; a third gains little."""

JITTER = 1e-3
"""Added to the diagonal of the landmarks' own kernel: float32 needs it, and the error does not feel it."""


class NystromGaussian:
    r"""`sum_q exp(-|f_p - f_q|^2 / 2) v_q` through landmarks: `K_nm (K_mm + eps I)^-1 K_mn v`.

    Nothing but matrix products and one Cholesky factor an image; time and memory are linear in the pixels.
    The operator is symmetric and positive semi-definite. Half of the landmarks start at random pixels and
    half at pixels that those do not reach, so that rare colors have theirs; k-means then moves them to the
    middle of what they stand for (Zhang, Tsang & Kwok 2008, "Improved Nyström low-rank approximation and
    error analysis").

    Args:
        features: `(batch, pixels, channels)`, already divided by sigma. No gradient flows to them.
        landmarks: how many; the error falls and the time grows with them.
        seed: of the sample; the same seed gives the same landmarks.
        mask: `(batch, pixels)`, 1 for the pixels that matter: landmarks are found among them. All by default.

    Source: Williams & Seeger 2000, "Using the Nyström method to speed up kernel machines", equation 8.
    """

    def __init__(self, features, landmarks=512, seed=0, mask=None):
        features = ops.cast(ops.stop_gradient(features), "float32")
        features = features - ops.mean(features, axis=1, keepdims=True)
        centers = choose_landmarks(features, landmarks, seed, mask)
        # What is lost in a product may exceed the jitter, and the factor does not exist then.
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
        """What a pixel's own value counts in its sum: `(batch, pixels, 1)`, 1 less what landmarks miss of it.

        The diagonal of this very approximation, at the price of its sums over as many channels as there are
        landmarks.
        """
        half = ops.solve_triangular(self.factor, ops.swapaxes(self.kernel, 1, 2), lower=True)
        return ops.sum(ops.square(half), axis=1)[..., None]


def choose_landmarks(features, count, seed, mask=None):
    """Centers of k-means over a sample of the pixels.

    Args:
        features: `(batch, pixels, channels)`, float32.
        count: how many; no more than there are pixels are taken where their number is known.
        seed: of the sample.
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
    """`count` pixels of the sample: half at random, half with the chance that the first half misses them."""
    generator = np.random.default_rng((seed, 1) if seed >= 0 else (-seed, 2))
    order = generator.permutation(sample.shape[1])
    first = ops.take(sample, order[: (count + 1) // 2], axis=1)
    rest = ops.take(sample, order[(count + 1) // 2 :], axis=1)
    if count == 1:
        return first
    nearest = ops.max(gaussian_matrix(rest, first), axis=-1)
    missed = ops.log(ops.maximum(1.0 - ops.square(nearest), 1e-6))
    # The largest of these, with noise of Gumbel's, are a draw without replacement.
    noise = -np.log(-np.log(generator.uniform(1e-6, 1 - 1e-6, len(order) - (count + 1) // 2)))
    _, chosen = ops.top_k(missed + noise.astype("float32"), count // 2)
    return ops.concatenate([first, ops.take_along_axis(rest, chosen[..., None], axis=1)], axis=1)
