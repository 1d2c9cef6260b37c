import numpy as np
import pytest

from keras_wsseg.imaging import rgb_image


def test_eight_bit_color_stays_and_is_a_copy():
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    painted = rgb_image(image)
    np.testing.assert_array_equal(painted, image)
    painted[:] = 0
    assert image.any()


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_sixteen_bit_gray(shape):
    image = np.array([0, 65535, 32768, 257, 0, 0], np.uint16).reshape(shape)
    painted = rgb_image(image, value_range=(0, 65535))
    assert painted.shape == (2, 3, 3) and painted.dtype == np.uint8
    assert painted[..., 0].ravel().tolist() == [0, 255, 128, 1, 0, 0]
    assert (painted == painted[..., :1]).all()


def test_floats_in_a_signed_range():
    assert rgb_image(np.array([[-1.0, 0.0, 1.0]]), (-1, 1))[0, :, 0].tolist() == [0, 128, 255]


def test_rounding_past_the_range_is_clipped():
    assert rgb_image(np.array([[1.0004, -0.0004]]), (0, 1))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("image", "value_range", "message"),
    [
        (np.zeros((2, 2, 4)), (0, 255), r"`image` must have shape .* Received: shape=\(2, 2, 4\)$"),
        (np.zeros((0, 2)), (0, 255), r"Received: shape=\(0, 2\)$"),
        (np.array([[0, 300]]), (0, 255), r"value_range=\(0, 255\). Received: values from 0 to 300$"),
        (np.array([[0.0, np.nan]]), (0, 1), r"Received: values from nan to nan$"),
        (
            np.zeros((2, 2)),
            (1, 1),
            r"`value_range` must be two .* Received: value_range=\(1, 1\)$",
        ),
        (np.zeros((2, 2)), 255, r"`value_range` must be two finite numbers, .* Received: value_range=255$"),
    ],
)
def test_bad_input(image, value_range, message):
    with pytest.raises(ValueError, match=message):
        rgb_image(image, value_range)
