import numpy as np
import pytest

from keras_wsseg.visualization.film_strip import film_strip


def plain(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_columns_keep_their_size_and_order():
    strip = film_strip([plain(4, 3, 10), plain(6, 2, 20)])
    assert strip.shape == (6, 5, 3)
    assert (strip[:4, :3] == 10).all() and (strip[4:, :3] == 255).all() and (strip[:, 3:] == 20).all()


def test_caption_stands_above_and_is_not_cut_off():
    strip = film_strip([plain(4, 30, 10)], "a line that is wider than the one column below it")
    assert strip.shape[1] > 200
    assert (strip[-4:, :30] == 10).all()
    above = strip[:-4]
    assert above.min() < 100
    assert (above[:, -4:] == 255).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "`columns` must contain at least one image. Received: none$"),
        (
            [np.zeros((2, 2), np.uint8)],
            r"`columns` must be uint8 .* Received: shape=\(2, 2\), dtype=uint8$",
        ),
        ([np.zeros((2, 2, 3))], r"Received: shape=\(2, 2, 3\), dtype=float64$"),
    ],
)
def test_bad_columns(columns, message):
    with pytest.raises(ValueError, match=message):
        film_strip(columns)
