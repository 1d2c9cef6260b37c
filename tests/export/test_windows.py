import tracemalloc

import numpy as np
import pytest

from keras_wsseg.export.windows import LARGEST_WHOLE, Axis, Windows, stitch

SIZES = [129, 160, 161, 300, 333, 512, 999, 1000, 1403]


def reader(whole, rows, columns):
    """Windows that say what the image holds there."""
    return lambda top, left: whole[top : top + rows.length, left : left + columns.length].copy()


@pytest.mark.parametrize("window,overlap", [(128, None), (128, 0), (128, 64), (200, 30), (257, 128)])
@pytest.mark.parametrize("size", SIZES)
def test_windows_lie_on_the_grid_and_end_with_the_image(size, window, overlap):
    windows = Windows(window, overlap)
    axis, _ = windows.cut(size, 50)
    if size <= window:
        assert axis == Axis(size, size, (0,))
        return
    assert window - 31 <= axis.length <= window
    assert (size - axis.length) % 32 == 0, "the rest decides where a strided network samples"
    assert axis.starts[0] == 0 and axis.starts[-1] + axis.length == size
    assert all(start % 32 == 0 for start in axis.starts)
    gaps = np.diff(axis.starts)
    assert (gaps > 0).all() and (axis.length - gaps >= windows.overlap).all()
    assert gaps.max() - gaps.min() <= 32


@pytest.mark.parametrize("window,overlap", [(128, None), (128, 0), (128, 64), (200, 30)])
@pytest.mark.parametrize("size", [(300, 333), (129, 500), (100, 161), (1403, 130)])
def test_what_windows_agree_on_comes_out_and_each_pixel_once(size, window, overlap):
    whole = np.random.default_rng(0).random((*size, 3), "float32")
    rows, columns = Windows(window, overlap).cut(*size)
    for blend, kept in ((True, whole), (False, (whole[..., 0] * 255).astype("uint8"))):
        result, times = np.zeros_like(kept), np.zeros(size, int)
        for *place, piece in stitch(rows, columns, reader(kept, rows, columns), blend):
            result[tuple(place)] = piece
            times[tuple(place)] += 1
        np.testing.assert_array_equal(times, 1)
        np.testing.assert_allclose(result, kept, atol=1e-6 if blend else 0)


def test_the_outer_quarter_of_an_overlap_is_never_used():
    rows, columns = Windows(128, 64).cut(400, 333)
    whole = np.random.default_rng(0).random((400, 333, 2), "float32")

    def run(top, left):
        window = whole[top : top + rows.length, left : left + columns.length].copy()
        window[: 16 * (top > 0)] = np.nan
        window[:, : 16 * (left > 0)] = np.nan
        window[rows.length - 16 * (top < rows.starts[-1]) :] = np.nan
        window[:, columns.length - 16 * (left < columns.starts[-1]) :] = np.nan
        return window

    for *place, piece in stitch(rows, columns, run, True):
        np.testing.assert_allclose(piece, whole[tuple(place)], atol=1e-6)


def test_one_window_goes_over_into_the_next_without_a_step():
    rows, columns = Windows(128, 32).cut(128, 224)
    assert columns.starts == (0, 96) and columns.ramp == 16
    result = np.full(224, np.nan, "float32")
    pieces = stitch(rows, columns, lambda top, left: np.full((128, 128, 1), left > 0, "float32"), True)
    for _, place, piece in pieces:
        result[place] = piece[0, :, 0]
    np.testing.assert_array_equal(result[:104], 0)
    np.testing.assert_allclose(result[104:120], (np.arange(16) + 0.5) / 16, rtol=1e-6)
    np.testing.assert_array_equal(result[120:], 1)


def test_without_blending_a_pixel_comes_from_the_window_whose_border_is_farther():
    rows, columns = Windows(128, 32).cut(128, 224)
    result = np.zeros(224, "uint8")
    pieces = stitch(rows, columns, lambda top, left: np.full((128, 128), left > 0, "uint8"), False)
    for _, place, piece in pieces:
        result[place] = piece[0]
    np.testing.assert_array_equal(result, np.arange(224) >= 112)


def test_memory_does_not_grow_with_the_height():
    def peak(height):
        rows, columns = Windows(128, 32).cut(height, 256)
        tracemalloc.start()
        for _ in stitch(rows, columns, lambda top, left: np.ones((128, 128, 8), "float32"), True):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(8192) < 1.2 * peak(512)


def test_only_images_too_large_for_one_run_are_cut_by_themselves():
    def lengths(*size, **arguments):
        return tuple(axis.length for axis in Windows(**arguments).cut(*size))

    assert lengths(1080, 1920) == (1080, 1920)
    assert lengths(1, LARGEST_WHOLE) == (1, LARGEST_WHOLE)
    assert lengths(1025, 2048) == (1025, 1280)
    assert lengths(4000, 6000) == (1280, 1280 - 16)
    assert lengths(4000, 6000, window=None) == (4000, 6000)
    assert lengths(300, 300, window=(128, 512)) == (128 - 20, 300)


def test_a_fixed_size_is_the_size_of_the_windows():
    rows, columns = Windows(fixed=(48, None)).cut(100, 37)
    assert (rows.length, rows.starts, columns.length) == (48, (0, 26, 52), 37)
    rows, columns = Windows(fixed=(48, 64)).cut(30, 64)
    assert rows == Axis(30, 48, (0,)) and columns == Axis(64, 64, (0,))
    assert Windows(window=(48, 256), fixed=(48, None)).cut(48, 999)[1].length <= 256
    with pytest.raises(ValueError, match=r"must have height 48, .* `window` is None\. Received: height 30"):
        Windows(None, fixed=(48, 64)).cut(30, 64)


@pytest.mark.parametrize("window", [127, 0, -1, "whole", (128,), (128, 64), 128.0, (128, 128, 3), True])
def test_windows_that_cannot_be_are_refused(window):
    with pytest.raises(ValueError, match=r"`window` must be .*height of at least 128 .* Received: window="):
        Windows(window)


def test_bad_arguments_say_what_fits():
    with pytest.raises(ValueError, match=r"height 48 and width of at least 128 .* Received: window=128"):
        Windows(128, fixed=(48, None))
    for overlap in (-1, 65, 1.5):
        with pytest.raises(
            ValueError, match=rf"must be an integer from 0 to 64. Received: overlap={overlap}"
        ):
            Windows(128, overlap)
    with pytest.raises(ValueError, match=r"an integer from 0 to 24. Received: overlap=25"):
        Windows(overlap=25, fixed=(48, None))
