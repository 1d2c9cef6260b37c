"""A random sample of an image's pixels, the same on every backend."""

import numpy as np
from keras import ops


def sample_pixels(features, count, seed, mask=None):
    """Features of random pixels, one from each of `count` equal segments of the image in row order.

    Args:
        features: `(batch, pixels, channels)`.
        count: number of samples; pixels may repeat if there are fewer.
        seed: integer. The random numbers are NumPy's, so that every backend draws the same pixels.
        mask: `(batch, pixels)`, 1 for the pixels to draw from. All by default.

    Returns:
        `(batch, count, channels)`, and the indices of the pixels, `(batch, count)`.
    """
    batch, pixels, channels = *ops.shape(features)[:2], features.shape[-1]
    # Kept below 1, which would be an index beyond the last pixel.
    shares = np.minimum((np.arange(count) + np.random.default_rng(seed).random(count)) / count, 0.999999)
    shares = ops.convert_to_tensor(shares.astype("float32"))[None, :]
    firsts = ops.arange(batch, dtype="int32")[:, None] * pixels
    if mask is None:
        places = ops.cast(shares * ops.cast(pixels, "float32"), "int32") + ops.zeros_like(firsts)
    else:
        # One sorted sequence over the whole batch: the number of mask pixels up to each index.
        inside = ops.cast(mask > 0, "int32")
        counts = ops.sum(inside, axis=1, keepdims=True)
        before = ops.cumsum(counts, axis=0) - counts
        wanted = before + ops.cast(shares * ops.cast(counts, "float32"), "int32")
        reached = ops.cumsum(ops.reshape(inside, (-1,)))
        found = ops.searchsorted(reached, ops.reshape(wanted, (-1,)), side="right")
        places = ops.reshape(ops.cast(found, "int32"), (batch, count)) - firsts
        # For an image without mask pixels, the index would be beyond its end.
        places = ops.clip(places, 0, pixels - 1)
    flat = ops.reshape(features, (-1, channels))
    chosen = ops.take(flat, ops.reshape(places + firsts, (-1,)), axis=0)
    return ops.reshape(chosen, (batch, count, channels)), places
