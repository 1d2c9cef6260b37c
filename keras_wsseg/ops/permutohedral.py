"""Fully connected Gaussian sums by the permutohedral lattice."""

import functools
import math

import keras
import numpy as np
from keras import ops

from keras_wsseg.ops import backend
from keras_wsseg.ops.pixel_sample import sample_pixels
from keras_wsseg.ops.sampled_mass import sampled_mass
from keras_wsseg.ops.self_adjoint import self_adjoint

SAMPLES = 128
"""Number of pixels whose exact sums set an image's scale; the total's error is 0.5 % (1.5 % at most)."""

MAX_COORDINATE = 1e9
"""Bound of coordinates, which must fit in 32-bit integers."""

DAMPING = 0.2
"""Strength of the compensation for pixels whose share is lost from the lattice; tuned on photographs, where
it lowers the error for one to eight channels."""

BALANCE = 0.5
"""Strength with which the weight of a pixel's own value, which depends on its position in its simplex, is
equalized."""


class PermutohedralLattice:
    r"""`sum_q exp(-|f_p - f_q|^2 / 2) v_q` over all pixels, by way of a sparse lattice in feature space.

    Time is linear in the number of pixels for kernels of any width, including narrow ones, for which
    landmarks are insufficient. Each pixel's value is splatted to the corners of its simplex, the lattice is
    blurred along its directions, and each pixel is sliced from its corners: `W = C S^T B S C`, with `S` the
    barycentric weights, `B` the blur and `C` a diagonal matrix that sets the scale. `W` is symmetric, has no
    negative entry, and is positive semi-definite up to a thousandth of its largest eigenvalue. On photographs
    its relative L2 error is 4 to 8 %, and that of the total at most 2 %.

    The blur is `[1 2 1] / 4` along each direction in turn; values without a lattice point are lost. The order
    of the directions therefore matters, so the mean of one order and its reverse is used, which is symmetric
    and loses less. A pixel at the very edge of a simplex adds a lattice point or not depending on rounding,
    so results differ between devices and compilers by about 1e-4.

    Args:
        features: `(batch, pixels, channels)`, already divided by sigma; any float type, float32 inside. No
            gradient flows to them. Distances from the mean are clipped at 1e9 sigmas.
        seed: integer seed of the sample that sets the scale; the same seed gives the same result.
        mask: `(batch, pixels)`, 1 for the pixels whose values are not zero: only these set the scale. All by
            default.

    Raises:
        ValueError: if `features` is not of rank 3 or its number of channels is not static.

    Example:
        >>> import numpy as np
        >>> lattice = PermutohedralLattice(np.zeros((1, 6, 2), "float32"))  # six pixels that look alike
        >>> np.array(lattice.apply(np.ones((1, 6, 1), "float32"))).round(3).ravel().tolist()
        [6.0, 6.0, 6.0, 6.0, 6.0, 6.0]

    Source: Adams, Baek & Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
    sections 3 and 4. Departures: points are represented in the basis of the blur's directions, in which a
    simplex is found by sorting fractional parts (Freudenthal's triangulation) and neighbors differ by
    constants; points are matched by sorting exact keys instead of hashing; the blur is symmetric; the scale,
    which is 40 % off in the published code, is fitted to exact sums at a sample of each image's pixels.
    """

    def __init__(self, features, seed=0, mask=None):
        shape = tuple(features.shape)
        if len(shape) != 3 or shape[2] is None:
            raise ValueError(
                "features must be (batch, pixels, channels) with a static number of channels. "
                f"Received: a tensor of shape {shape}"
            )
        self._shape, self._pixels = shape, ops.shape(features)[1]
        self._tensors = lattice_tensors(features, seed, mask)

    @classmethod
    def of_tensors(cls, features, tensors):
        """The lattice over these features from the tensors of `lattice_tensors`."""
        lattice = cls.__new__(cls)
        lattice._shape, lattice._pixels = tuple(features.shape), ops.shape(features)[1]
        lattice._tensors = tensors
        return lattice

    def apply(self, values):
        """The sums of `values`.

        Args:
            values: `(batch, pixels, channels)`, any float type.

        Returns:
            The same shape, float32, differentiable in `values`.

        Raises:
            ValueError: if `values` are not of rank 3 over the pixels of the features.
        """
        shape = tuple(values.shape)
        fits = len(shape) == 3 and all(
            a is None or b is None or a == b for a, b in zip(shape[:2], self._shape[:2], strict=True)
        )
        if not fits:
            raise ValueError(
                f"values must be (batch, pixels, channels) over the pixels of the features, "
                f"{self._shape[:2]}. Received: a tensor of shape {shape}"
            )
        values = ops.cast(values, "float32")
        flat = ops.reshape(values, (-1, shape[2]))
        return ops.reshape(self_adjoint(self._filter)(flat), ops.shape(values))

    def diagonal(self):
        """The approximate weight of a pixel's own value in its sum: `(batch, pixels, 1)`, near 1.

        The exact value depends on which lattice points exist. A lower bound, and the value if no point is
        missing, have a closed form in the barycentric weights; this is their mean, with an error of 4 to 6 %
        on photographs, where 1 would have an error of 5 to 12 %.
        """
        return ops.reshape(_own_share(self._tensors[1]), (-1, self._pixels, 1))

    def _filter(self, values):
        return _filtered(self._tensors, values)


def lattice_tensors(features, seed=0, mask=None):
    """The tensors of a lattice, in shapes that do not depend on the number of its points.

    Args:
        features, seed, mask: see `PermutohedralLattice`.

    Returns:
        A tuple: row indices and weights of the corners of each pixel's simplex, both
        `(corners, batch * pixels)`; the rows ahead of and behind each row, `(directions, maximum rows)`; the
        number of rows in use.
    """
    features = ops.cast(ops.stop_gradient(features), "float32")
    features = features - ops.mean(features, axis=1, keepdims=True)
    keys, steps, weights = _simplices(features)
    corners, points, count = _match(keys, features.shape[2] + 1)
    # The maximum number of rows, so that shapes do not depend on the number of points.
    ahead, behind, kept = backend.with_leading_rows(
        _survey, count, points[0], (corners, weights, points, steps)
    )
    # Corrections are included in the weights, so that they do not slow down filtering.
    weights = weights * kept**-DAMPING
    weights = weights * _own_share(weights) ** (-0.5 * BALANCE)
    scale = ops.sqrt(_scale((corners, weights, ahead, behind, count), features, seed, mask))
    scale = ops.broadcast_to(scale[:, None], ops.shape(features)[:2])
    return corners, weights * ops.reshape(scale, (-1,)), ahead, behind, count


def empty_tensors(features):
    """Zeros in the shapes and dtypes of `lattice_tensors`, if no lattice is needed."""
    batch, pixels, channels = ops.shape(features)
    corners, places = channels + 1, batch * pixels
    numbers = ops.zeros((corners, places), "int32")
    rows = ops.zeros((corners, corners * places + 1), "int32")
    return numbers, ops.cast(numbers, "float32"), rows, rows, ops.zeros((), "int32")


def _filtered(tensors, values):
    *lattice, count = tensors
    return backend.with_leading_rows(_filter, count, lattice[2][0], (*lattice, values))


def _scale(tensors, features, seed, mask):
    """The factor that fits the sums at a sample of an image's pixels to the exact ones, `(batch,)`."""
    batch, pixels = ops.shape(features)[:2]
    ones = ops.ones((batch, pixels), "float32") if mask is None else ops.cast(mask, "float32")
    sample, places = sample_pixels(features, SAMPLES, seed, mask)
    exact = sampled_mass(sample, features, ones)
    sums = ops.reshape(_filtered(tensors, ops.reshape(ones, (-1, 1))), (batch, pixels))
    sums = ops.sum(ops.take_along_axis(sums, places, axis=1), axis=1)
    return ops.divide_no_nan(ops.sum(exact, axis=1), sums)


def _survey(rows, corners, weights, points, steps):
    """Neighbors of the lattice's points, and the share of a pixel's value that stays within the lattice.

    Returns:
        Rows ahead and behind, two `(directions, all rows)`, 0 where there is no neighbor; shares
        `(batch * pixels,)`.
    """
    spare = ops.shape(points[0])[0] - rows
    points = [word[:rows] for word in points]
    largest = np.iinfo(keras.backend.standardize_dtype(points[0].dtype)).max
    exists = ops.logical_and(points[0] >= 0, points[0] < largest)
    sought = [_wrapped(word + step[:, None]) for word, step in zip(points, steps, strict=True)]
    ahead = ops.where(exists, _find(points, sought), 0)
    behind = ops.where(exists, _inverse(ahead), 0)
    kept = _slice(_blur(ops.cast(exists, "float32")[:, None], ahead, behind), corners, weights)
    padding = ops.zeros((steps[0].shape[0], spare), "int32")
    ahead, behind = (ops.concatenate([near, padding], axis=1) for near in (ahead, behind))
    return ahead, behind, kept[:, 0]


def _filter(rows, corners, weights, ahead, behind, values):
    grid = 0.0
    for corner in range(corners.shape[0]):
        shares = weights[corner][:, None] * values
        grid = grid + ops.segment_sum(shares, corners[corner], num_segments=rows)
    return _slice(_blur(grid, ahead[:, :rows], behind[:, :rows]), corners, weights)


def _slice(grid, corners, weights):
    values = 0.0
    for corner in range(corners.shape[0]):
        values = values + weights[corner][:, None] * backend.take_rows(grid, corners[corner])
    return values


def _simplices(features):
    """Each pixel's simplex: keys of its corners, the steps between keys of neighbors, and the weights.

    In the basis of the directions of the blur, the lattice is the integer lattice, each cube is split into
    simplices by the order of the fractional parts, and the directions are the axes and their negative sum.
    The scale is that of the paper: splat, blur and slice together have the variance of the Gaussian.

    Returns:
        Keys, for each of their words `(corners * batch * pixels,)`, corner by corner; steps, for each word
        `(channels + 1,)`; weights `(corners, batch * pixels)`.
    """
    batch, pixels, channels = ops.shape(features)
    flat = ops.reshape(features, (-1, channels))
    slant = (math.sqrt(channels + 1) - 1) / channels
    place = math.sqrt(2 / 3) * (flat + slant * ops.sum(flat, axis=1, keepdims=True))
    # The center of an image of one color is placed in the middle of a simplex, where rounding cannot move it
    # into another one.
    place = place + np.arange(1, channels + 1, dtype="float32") / (channels + 1)
    place = ops.clip(place, -MAX_COORDINATE, MAX_COORDINATE)
    cells = ops.floor(place)
    dtype, words = backend.key_words()
    whole = ops.cast(cells, dtype)
    low = ops.min(whole, axis=0)
    # A corner may lie one beyond its cell and a neighbor one beyond that on either side.
    extents = ops.max(whole, axis=0) - low + 4
    extents = [extents[channel] for channel in range(channels)] + [ops.cast(batch, dtype)]
    image = ops.repeat(ops.arange(batch, dtype=dtype), pixels)
    digits = [whole[:, channel] - low[channel] + 1 for channel in range(channels)] + [image]
    steps = _pack(extents, dtype, words)
    keys = [
        _wrapped(sum(digit * step[word] for digit, step in zip(digits, steps, strict=True)))
        for word in range(words)
    ]
    ordered = [(place[:, channel] - cells[:, channel], steps[channel]) for channel in range(channels)]
    for turn in range(channels):
        for left in range(turn % 2, channels - 1, 2):
            ordered[left : left + 2] = _descending(*ordered[left : left + 2])
    corners = [keys]
    for _, step in ordered:
        corners.append([_wrapped(key + jump) for key, jump in zip(corners[-1], step, strict=True)])
    heights = [1.0, *(fraction for fraction, _ in ordered), 0.0]
    weights = ops.stack([heights[i] - heights[i + 1] for i in range(channels + 1)])
    directions = [ops.stack([step[word] for step in steps[:channels]]) for word in range(words)]
    directions = [ops.concatenate([some, -ops.sum(some, keepdims=True)]) for some in directions]
    return [ops.concatenate(word) for word in zip(*corners, strict=True)], directions, weights


def _pack(extents, dtype, words):
    """Steps of mixed-radix keys, one list of words per digit, or random steps if not all digits fit.

    Sums of random multiples hash the digits, and neighbors still differ by constants. The probability that
    any two of ten million points get the same key of 60 bits is 1 in 20 000. Radix keys are preferred, since
    they sort neighbors close together, which improves memory locality.
    """
    limit = _largest_key(dtype)
    random = np.random.default_rng(0).integers(limit, size=(len(extents), words)) | 1
    used = [ops.ones((), dtype) for _ in range(words)]
    steps, fits = [], True
    for extent in extents:
        step, placed = [], False
        for word in range(words):
            here = ops.logical_and(used[word] <= limit // extent, ops.logical_not(placed))
            step.append(ops.where(here, used[word], 0))
            used[word] = ops.where(here, used[word] * extent, used[word])
            placed = ops.logical_or(placed, here)
        steps.append(step)
        fits = ops.logical_and(fits, placed)
    return [
        [ops.where(fits, step, other) for step, other in zip(*both, strict=True)]
        for both in zip(steps, random.astype(dtype), strict=True)
    ]


def _largest_key(dtype):
    return np.iinfo(dtype).max // 2


def _wrapped(word):
    """Integers modulo one more than the largest key; correct even for sums that overflow their type."""
    return ops.bitwise_and(word, _largest_key(keras.backend.standardize_dtype(word.dtype)))


def _descending(a, b):
    """Orders two columns of (fraction, words of the step) so that each row's larger fraction is first."""
    swap = a[0] < b[0]
    first = [ops.where(swap, y, x) for x, y in zip(a[1], b[1], strict=True)]
    second = [ops.where(swap, x, y) for x, y in zip(a[1], b[1], strict=True)]
    return (ops.maximum(a[0], b[0]), first), (ops.minimum(a[0], b[0]), second)


def _match(keys, corners):
    """Numbers the distinct keys from 1; row 0 stands for missing points.

    Returns:
        Numbers `(corners, batch * pixels)`; for each word, the sorted distinct keys after a smaller row 0 and
        before larger spare rows; the number of rows in use.
    """
    order = backend.argsort_words(keys)
    ranked = [backend.take_rows(word, order) for word in keys]
    fresh = [word[1:] != word[:-1] for word in ranked]
    fresh = functools.reduce(ops.logical_or, fresh)
    fresh = ops.concatenate([ops.ones_like(fresh[:1]), fresh])
    number = ops.cumsum(ops.cast(fresh, "int32"))
    total = ops.shape(order)[0]
    largest = np.iinfo(keras.backend.standardize_dtype(keys[0].dtype)).max
    points = []
    for word in ranked:
        first = ops.where(fresh, word - largest, ops.zeros_like(word))
        point = ops.segment_sum(first, number, num_segments=total + 1) + largest
        points.append(ops.concatenate([ops.full_like(point[:1], -1), point[1:]]))
    numbers = ops.scatter(ops.cast(order, "int32")[:, None], number, (total,))
    return ops.reshape(numbers, (corners, -1)), points, number[-1] + 1


def _find(points, sought):
    """Row of each key among the sorted points by bisection, 0 if it is not found."""
    shape = ops.shape(sought[0])

    def halve(row, width):
        half = width // 2
        below = None
        for point, key in reversed(list(zip(points, sought, strict=True))):
            reached = backend.take_rows(point, row + half)
            below = (
                reached <= key
                if below is None
                else ops.logical_or(reached < key, ops.logical_and(reached == key, below))
            )
        return ops.where(below, row + half, row), width - half

    start = ops.zeros(shape, "int32"), ops.cast(ops.shape(points[0])[0], "int32")
    row, _ = ops.while_loop(lambda row, width: width > 1, halve, start)
    same = [backend.take_rows(point, row) == key for point, key in zip(points, sought, strict=True)]
    return ops.where(functools.reduce(ops.logical_and, same), row, 0)


def _inverse(rows):
    """The inverse of index maps `(maps, rows)` in which no row except 0 occurs twice."""
    maps, size = rows.shape[0], ops.shape(rows)[1]
    own = ops.broadcast_to(ops.arange(size, dtype="int32"), (maps, size))
    firsts = ops.arange(maps, dtype="int32")[:, None] * size
    hit = ops.reshape(rows + firsts, (-1,))
    return ops.reshape(ops.segment_sum(ops.reshape(own, (-1,)), hit, num_segments=maps * size), (maps, size))


def _own_share(weights):
    """The approximate weight of a pixel's own value in its sum, `(batch * pixels,)`."""
    return ops.sum(weights * backend.matmul_float32(_own_blur(weights.shape[0]), weights), axis=0)


def _own_blur(corners):
    """The blur's weights between the corners of one simplex, NumPy float32 `(corners, corners)`.

    Corners n steps apart are connected by a path of n steps ahead and, since all directions sum to zero, by
    one of the other steps behind. A path of one step always exists; one of two steps exists for at least one
    of the two orders of the directions; longer ones may not exist.
    """
    steps = np.abs(np.subtract.outer(np.arange(corners), np.arange(corners)))
    stay = 0.5**corners

    def path(steps, longer):
        return stay * 0.5**steps * np.select([steps < 2, steps == 2], [1.0, (1 + longer) / 2], longer)

    loop = np.where(steps == 0, 2.0, 1.0)
    bounds = [path(steps, longer) + loop * path(corners - steps, longer) for longer in (0.0, 1.0)]
    return np.mean(bounds, axis=0).astype("float32")


def _blur(grid, ahead, behind):
    last = ahead.shape[0] - 1

    def step(result, direction):
        near = backend.take_rows(result, ahead[direction]) + backend.take_rows(result, behind[direction])
        return 0.5 * result + 0.25 * near

    # A loop, since unrolled for all directions, twice, this would dominate compilation.
    there, back = ops.fori_loop(
        0, last + 1, lambda turn, both: (step(both[0], turn), step(both[1], last - turn)), (grid, grid)
    )
    return 0.5 * (there + back)
