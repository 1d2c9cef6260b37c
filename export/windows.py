"""Splits images that are too large for one run into overlapping windows, and stitches the results."""

import dataclasses
import itertools

import numpy as np

from keras_wsseg.arguments import check_integer

# Networks halve an image up to five times. Windows that begin at multiples of this, and have the same
# remainder as the image when divided by it, are sampled at the same positions as the whole image.
GRID = 32
# A network with 21 classes takes about 0.6 KB per pixel of one run: 1.2 GB, and 0.9 GB.
LARGEST_WHOLE = 2048 * 1024
WINDOW = 1280
OVERLAP = 256
SMALLEST = 4 * GRID


@dataclasses.dataclass(frozen=True)
class Axis:
    """The windows along the height or the width of an image.

    Neighboring windows are blended linearly in a strip of `ramp` pixels in the middle of their overlap; what
    lies beyond, where a window lacks context, is not used.

    Args:
        size: image size in pixels.
        length: window size in pixels.
        starts: first pixels of the windows, beginning with 0.
        ramp: width of the blended strip, an even number of pixels.
    """

    size: int
    length: int
    starts: tuple
    ramp: int = 0

    def bounds(self, number):
        """`(first, last + 1)` of the pixels in which window `number` has a weight."""
        first = 0 if number == 0 else self._cut(number - 1) - self.ramp // 2
        end = self.size if number == len(self.starts) - 1 else self._cut(number) + self.ramp // 2
        return first, end

    def _cut(self, number):
        return (self.starts[number] + self.starts[number + 1] + self.length) // 2


class Windows:
    """Decides how images are split.

    Args:
        window: `"auto"`; None for whole images; or an integer or `(height, width)` in pixels.
        overlap: minimum number of pixels that neighbors share; by default 256, or a quarter of smaller
            windows.
        fixed: `(height, width)` that the graph takes, None where it takes any.

    Raises:
        ValueError: if the window is too small, the overlap too large, or the graph takes another size.
    """

    def __init__(self, window="auto", overlap=None, fixed=(None, None)):
        self.fixed = fixed
        self.window = window if window in ("auto", None) else _pair(window, fixed)
        sizes = fixed if self.window in ("auto", None) else self.window
        known = [size for size in sizes if size is not None] or [WINDOW]
        if overlap is None:
            overlap = min(OVERLAP, *(size // 4 for size in known))
        self.overlap = check_integer("overlap", overlap, low=0, high=min(known) // 2)

    def cut(self, height, width):
        """The windows of an image.

        Returns:
            `(rows, columns)`, each an `Axis`.

        Raises:
            ValueError: if images should stay whole and the graph takes another size.
        """
        whole = self.window is None or (self.window == "auto" and height * width <= LARGEST_WHOLE)
        window = (WINDOW, WINDOW) if self.window in ("auto", None) else self.window
        axes = []
        for name, size, fixed, length in zip(
            ("height", "width"), (height, width), self.fixed, window, strict=True
        ):
            if fixed is None:
                axes.append(_single(size) if whole or size <= length else self._on_grid(size, length))
            elif self.window is None and fixed != size:
                raise ValueError(
                    f"`image` must have {name} {fixed}, since this segmenter was built for a fixed size and "
                    f"`window` is None. Received: {name} {size}"
                )
            else:
                axes.append(self._spread(size, fixed, 1))
        return tuple(axes)

    def _on_grid(self, size, length):
        return self._spread(size, length - (length - size) % GRID, GRID)

    def _spread(self, size, length, grid):
        """Windows at multiples of `grid`, as evenly spaced as possible."""
        if size <= length:
            return Axis(size, length, (0,))
        span = (size - length) // grid
        gaps = -(-span // ((length - self.overlap) // grid))
        starts = tuple(number * span // gaps * grid for number in range(gaps + 1))
        smallest = min(after - before for before, after in itertools.pairwise(starts))
        return Axis(size, length, starts, min(self.overlap // 2, smallest) // 2 * 2)


def stitch(rows, columns, run, blend):
    """Runs the windows of an image and yields finished pieces one by one.

    Only the strips shared with the next windows are kept, so that memory does not grow with the image's
    height.

    Args:
        rows, columns: `Axis`.
        run: function from `(top, left)` to the result of the window there, `(height, width, ...)`, which is
            overwritten.
        blend: whether to blend results; otherwise each pixel is taken from one window.

    Yields:
        `(row slice, column slice, result)`, each pixel of the image once.
    """
    if not blend:
        rows, columns = (dataclasses.replace(axis, ramp=0) for axis in (rows, columns))
    above = [None] * len(columns.starts)
    for row in range(len(rows.starts)):
        left = None
        for column in range(len(columns.starts)):
            result = run(rows.starts[row], columns.starts[column])
            result = _crop(_crop(result, rows, row, 0), columns, column, 1)
            result, left = _blend_shared_strip(result, columns, column, left, 1)
            result, above[column] = _blend_shared_strip(result, rows, row, above[column], 0)
            top, first = rows.bounds(row)[0], columns.bounds(column)[0]
            yield slice(top, top + result.shape[0]), slice(first, first + result.shape[1]), result


def _crop(result, axis, number, dimension):
    first, end = (bound - axis.starts[number] for bound in axis.bounds(number))
    return result[(slice(None),) * dimension + (slice(first, end),)]


def _blend_shared_strip(result, axis, number, received, dimension):
    """Adds the previous window's part of the shared strip, and holds back the strip shared with the next."""
    part = (slice(None),) * dimension
    weights = (np.arange(axis.ramp, dtype=np.float32) + 0.5) / np.float32(axis.ramp or 1)
    weights = weights.reshape((-1,) + (1,) * (result.ndim - dimension - 1))
    if number > 0 and axis.ramp:
        strip = result[(*part, slice(axis.ramp))]
        strip *= weights
        strip += received
    if number == len(axis.starts) - 1:
        return result, None
    settled = result.shape[dimension] - axis.ramp
    left = result[(*part, slice(settled, None))] * (1 - weights) if axis.ramp else None
    return result[(*part, slice(settled))], left


def _single(size):
    return Axis(size, size, (0,))


def _pair(window, fixed):
    pair = window if isinstance(window, tuple | list) else (window, window)
    try:
        return tuple(
            check_integer("window", size, low=limit or SMALLEST, high=limit)
            for size, limit in zip(pair, fixed, strict=True)
        )
    except ValueError as error:
        expected = " and ".join(
            f"{name} {limit}" if limit else f"{name} of at least {SMALLEST}"
            for name, limit in zip(("height", "width"), fixed, strict=True)
        )
        raise ValueError(
            f'`window` must be "auto", None, or pixels: {expected} for this segmenter. '
            f"Received: window={window!r}"
        ) from error
