"""Sums over a square window weighted by Gaussian kernels of the features."""

from keras import ops

from keras_wsseg.arguments import check_integer
from keras_wsseg.ops import backend, tiles

METHODS = ("tiles", "patches")


def local_gaussian_filter(values, features, radius, kernel_weights=None, filter_method="tiles"):
    r"""Sums, at every pixel, the values of its neighbors weighted by the similarity of the two pixels.

    The basis of the gated CRF energy and of windowed mean-field inference:

    `out_a = sum_{b in window(a), b != a} K_ab v_b`,
    `K_ab = sum_p w_p exp(-|f_a^(p) - f_b^(p)|^2 / 2)`,

    the window being the `(2 radius + 1)^2` pixels around `a`; neighbors outside the image are ignored. `K` is
    symmetric, so the filter is its own adjoint. No gradient flows to `features` or `kernel_weights`.

    Args:
        values: `(batch, height, width, channels)`, any float type.
        features: `(batch, height, width, features)` already divided by sigma, or a list with one per kernel.
        radius: window radius in pixels, at least 1. It may exceed the image.
        kernel_weights: one non-negative number per kernel; all 1 by default.
        filter_method: `"tiles"` (matrix products in tiles, bounded memory) or `"patches"` (every offset
            unfolded: slow but simple, and therefore the reference).

    Returns:
        `(batch, height, width, channels)`, float32.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> flat = np.zeros((1, 3, 3, 1), "float32")
        >>> out = local_gaussian_filter(np.ones((1, 3, 3, 1), "float32"), flat, radius=1)
        >>> np.array(out)[0, :, :, 0].round(3).tolist()
        [[3.0, 5.0, 3.0], [5.0, 8.0, 5.0], [3.0, 5.0, 3.0]]
    """
    features, kernel_weights = check_kernels(features, radius, kernel_weights, filter_method)
    values = ops.cast(values, "float32")
    run = _filter_tiles if filter_method == "tiles" else _filter_patches
    return run(values, features, kernel_weights, radius)


def check_kernels(features, radius, kernel_weights, filter_method):
    """Validates features and kernel weights, and returns both as lists, the features as float32."""
    check_integer("radius", radius, low=1)
    if filter_method not in METHODS:
        raise ValueError(f"filter_method must be one of {METHODS}. Received: filter_method={filter_method!r}")
    features = list(features) if isinstance(features, (list, tuple)) else [features]
    if not features:
        raise ValueError("features must contain the features of at least one kernel. Received: features=[]")
    for feature in features:
        if len(feature.shape) != 4:
            raise ValueError(
                "features must be (batch, height, width, channels), one tensor or a list of them. "
                f"Received: a tensor of shape {tuple(feature.shape)}"
            )
    kernel_weights = [1.0] * len(features) if kernel_weights is None else list(kernel_weights)
    if len(kernel_weights) != len(features):
        raise ValueError(
            f"kernel_weights must contain one weight for each of the {len(features)} kernels. "
            f"Received: {len(kernel_weights)} weights"
        )
    return [ops.cast(ops.stop_gradient(f), "float32") for f in features], kernel_weights


def _filter_tiles(values, features, kernel_weights, radius):
    batch, height, width = ops.shape(values)[:3]
    channels = values.shape[-1]
    grid = tiles.TileGrid(height, width, radius)
    at_least_one = max if isinstance(batch, int) else ops.maximum
    most = backend.kernel_budget() // (tiles.TILE**2 * grid.halo_size) // at_least_one(batch, 1)
    chunks = -(-grid.tiles // at_least_one(most, 1))
    chunk = -(-grid.tiles // chunks)
    spare = chunks * chunk - grid.tiles

    sizes = [f.shape[-1] for f in features]
    stacked = grid.to_tiles(ops.concatenate([*features, values], axis=-1))
    source = grid.with_outside(stacked)
    anchors = ops.pad(stacked[..., : sum(sizes)], [[0, 0], [0, spare], [0, 0], [0, 0]])
    anchors = ops.reshape(anchors, (batch, chunks, chunk, tiles.TILE**2, sum(sizes)))
    anchors = ops.transpose(anchors, (1, 0, 2, 3, 4))
    table = ops.pad(grid.table, [[0, spare], [0, 0]], constant_values=0)
    table = ops.reshape(table, (chunks, chunk * grid.halo_size))
    valid = ops.reshape(ops.pad(grid.valid, [[0, spare], [0, 0], [0, 0]]), (chunks, chunk, tiles.TILE**2, 1))
    window = tiles.window_mask(radius)

    def one_chunk(parts):
        anchor, places, inside = parts
        halo = ops.take(source, places, axis=1)
        halo = ops.reshape(halo, (batch, chunk, grid.halo_size, sum(sizes) + channels))
        kernel, start = 0.0, 0
        for size, weight in zip(sizes, kernel_weights, strict=True):
            own, others = anchor[..., start : start + size], halo[..., start : start + size]
            kernel = kernel + weight * tiles.gaussian_kernel(own, others, inside[None])
            start += size
        return backend.matmul_float32(kernel * window, halo[..., start:])

    if isinstance(chunks, int) and chunks == 1:
        out = one_chunk((anchors[0], table[0], valid[0]))[None]
    else:
        out = ops.map(one_chunk, (anchors, table, valid))
    out = ops.reshape(ops.transpose(out, (1, 0, 2, 3, 4)), (batch, chunks * chunk, tiles.TILE**2, channels))
    return grid.to_image(out[:, : grid.tiles])


def _filter_patches(values, features, kernel_weights, radius):
    kernel = pairwise_kernel(features, kernel_weights, radius)
    batch, height, width = ops.shape(values)[:3]
    channels = values.shape[-1]
    neighbors = backend.extract_patches(values, 2 * radius + 1)
    neighbors = ops.reshape(neighbors, (batch, height, width, (2 * radius + 1) ** 2, channels))
    return backend.matmul_float32(kernel[..., None, :], neighbors)[..., 0, :]


def pairwise_kernel(features, kernel_weights, radius):
    """K(a, a + o) for all offsets o of the window, with 0 for the anchor itself.

    Pixels outside the image are treated as pixels of feature 0: the values gathered there must be zero.

    Args:
        features: list of `(batch, height, width, channels)`, float32.
        kernel_weights: one number per kernel.
        radius: pixels.

    Returns:
        `(batch, height, width, (2 radius + 1)^2)`.
    """
    size = 2 * radius + 1
    total = 0.0
    for feature, weight in zip(features, kernel_weights, strict=True):
        batch, height, width = ops.shape(feature)[:3]
        patches = backend.extract_patches(feature, size)
        patches = ops.reshape(patches, (batch, height, width, size * size, feature.shape[-1]))
        squares = ops.sum(ops.square(patches - feature[:, :, :, None, :]), axis=-1)
        total = total + weight * ops.exp(-0.5 * squares)
    keep = [0.0 if offset == size * size // 2 else 1.0 for offset in range(size * size)]
    return total * ops.convert_to_tensor(keep, "float32")
