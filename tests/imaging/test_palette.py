import numpy as np
import pytest

from keras_wsseg.imaging import class_palette
from keras_wsseg.imaging.palette import as_palette


def test_colors_are_distinct_and_stable():
    colors = class_palette(254)
    assert colors.shape == (254, 3) and colors.dtype == np.uint8
    assert len(np.unique(colors, axis=0)) == 254
    np.testing.assert_array_equal(class_palette(30), colors[:30])


def test_first_colors_are_far_apart():
    colors = class_palette(12).astype(int)
    distance = np.abs(colors[:, None] - colors[None]).sum(-1) + 1000 * np.eye(12, dtype=int)
    assert distance.min() >= 100


@pytest.mark.parametrize("count", [0, 255])
def test_number_of_colors(count):
    with pytest.raises(ValueError, match=f"integer from 1 to 254. Received: num_classes={count}$"):
        class_palette(count)


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        ([[0, 0]], r"shape \(classes, 3\). Received: shape=\(1, 2\), dtype=int64$"),
        ([[0.0, 1.0, 0.5]], r"Received: shape=\(1, 3\), dtype=float64$"),
        ([[0, 0, 256]], r"must hold values of 0 to 255. Received: 0 to 256$"),
    ],
)
def test_bad_palette(palette, message):
    with pytest.raises(ValueError, match=message):
        as_palette(palette)
