import math

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.visualization import kernel_mosaic


def loop_mosaic(image, xy, rgb, radius):
    height, width, _ = image.shape
    side = 2 * radius + 1
    result = np.zeros((height, width))
    for top in range(0, height, side):
        for left in range(0, width, side):
            ay, ax = min(top + radius, height - 1), min(left + radius, width - 1)
            for y in range(top, min(top + side, height)):
                for x in range(left, min(left + side, width)):
                    place = ((y - ay) ** 2 + (x - ax) ** 2) / xy**2 if xy else 0
                    color = sum((image[y, x] - image[ay, ax]) ** 2) / rgb**2 if rgb else 0
                    result[y, x] = math.exp(-0.5 * (place + color))
    return result


@pytest.mark.parametrize(("xy", "rgb"), [(3.0, 0.4), (None, 0.4), (3.0, None)])
def test_against_a_loop(xy, rgb):
    image = np.random.default_rng(0).random((12, 16, 3))
    mosaic = kernel_mosaic(image, sigma_xy=xy, sigma_rgb=rgb, radius=2, value_range=(0, 1))
    assert mosaic.dtype == np.uint8
    expected = 255 * loop_mosaic(image, xy, rgb, 2)
    np.testing.assert_allclose(mosaic, expected, atol=0.51)


def test_gray_sixteen_bits_equal_their_float_image():
    image = np.random.default_rng(1).integers(0, 65536, (9, 9), dtype=np.uint16)
    np.testing.assert_array_equal(
        kernel_mosaic(image, sigma_xy=4, sigma_rgb=0.2, radius=1, value_range=(0, 65535)),
        kernel_mosaic(image[..., None] / 65535, sigma_xy=4, sigma_rgb=0.2, radius=1, value_range=(0, 1)),
    )


def test_setting_of_the_figure_on_a_photograph(real_data):
    image = np.asarray(Image.open(real_data / "voc_mini" / "images" / "2007_000033.png"))
    mosaic = kernel_mosaic(image)
    assert mosaic.shape == image.shape[:2]
    assert (mosaic[15::31, 15::31] == 255).all()
    # Sky is even, so only the distance counts there; the apron is busy.
    assert mosaic[:93, :310].mean() > 1.5 * mosaic[-93:, :310].mean()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sigma_xy": 0}, ValueError, r"`sigma_xy` must be a number above 0. Received: sigma_xy=0$"),
        ({"sigma_rgb": -1.0}, ValueError, r"`sigma_rgb` must be a number above 0. Received: sigma_rgb=-1.0$"),
        (
            {"sigma_xy": None, "sigma_rgb": None},
            ValueError,
            r"`sigma_xy` or `sigma_rgb` must be given. Received: sigma_xy=None, sigma_rgb=None$",
        ),
        ({"radius": 0}, ValueError, r"`radius` must be an integer of at least 1. Received: radius=0$"),
        ({"radius": 1.5}, ValueError, r"`radius` must be an integer .*Received: radius=1.5$"),
        ({"value_range": (0, 1)}, ValueError, r"`image` must lie within value_range=\(0, 1\)"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        kernel_mosaic(np.full((4, 4), 9, np.uint8), **arguments)
