"""A random sample of an image's pixels, the same on every backend."""

import numpy as np
from keras import ops


def sample_pixels(features, count, seed, mask=None):
    """Features of random pixels, one in each of `count` stretches of the image read row by row.

    Args:
        features: `(batch, pixels, channels)`.
        count: how many; pixels may repeat where there are fewer.
        seed: integer. The numbers are NumPy's, so that every backend draws the same.
        mask: `(batch, pixels)`, 1 for the pixels to draw from. All by default.

    Returns:
        `(batch, count, channels)`, and the places of the pixels, `(batch, count)`.
    """
    batch, pixels, channels = *ops.shape(features)[:2], features.shape[-1]
    # Never quite 1, which rounding would put beyond the last pixel.
    shares = np.minimum((np.arange(count) + np.random.default_rng(seed).random(count)) / count, 0.999999)
    shares = ops.convert_to_tensor(shares.astype("float32"))[None, :]
    firsts = ops.arange(batch, dtype="int32")[:, None] * pixels
    if mask is None:
        places = ops.cast(shares * ops.cast(pixels, "float32"), "int32") + ops.zeros_like(firsts)
    else:
        # One sorted sequence over the whole batch: how many pixels of the mask there are up to each place.
        inside = ops.cast(mask > 0, "int32")
        counts = ops.sum(inside, axis=1, keepdims=True)
        before = ops.cumsum(counts, axis=0) - counts
        wanted = before + ops.cast(shares * ops.cast(counts, "float32"), "int32")
        reached = ops.cumsum(ops.reshape(inside, (-1,)))
        found = ops.searchsorted(reached, ops.reshape(wanted, (-1,)), side="right")
        places = ops.reshape(ops.cast(found, "int32"), (batch, count)) - firsts
        # An image without any such pixel finds itself beyond its end.
        places = ops.clip(places, 0, pixels - 1)
    flat = ops.reshape(features, (-1, channels))
    chosen = ops.take(flat, ops.reshape(places + firsts, (-1,)), axis=0)
    return ops.reshape(chosen, (batch, count, channels)), places
