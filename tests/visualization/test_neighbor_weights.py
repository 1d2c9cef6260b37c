import math

import numpy as np
import pytest
from keras import ops

from keras_wsseg.ops.sparse_crf import neighbor_weights
from keras_wsseg.visualization import neighbor_weights_image


def loop_mean(image, sigma):
    """Mean of the weights to the neighbors that there are, pixel by pixel."""
    height, width = image.shape[:2]
    result = np.ones((height, width))
    for i, j in np.ndindex(height, width):
        places = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        weights = [
            math.exp(-((image[i, j] - image[place]) ** 2).sum() / (2 * sigma**2))
            for place in places
            if 0 <= place[0] < height and 0 <= place[1] < width
        ]
        if weights:
            result[i, j] = sum(weights) / len(weights)
    return result


@pytest.mark.parametrize("sigma_rgb", [0.05, 0.3, 5.0])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 6, 3), (4, 1, 1), (1, 1, 3), (3, 4)])
def test_against_a_loop(shape, sigma_rgb):
    image = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    found = neighbor_weights_image(image, sigma_rgb)
    unit = image.reshape(*shape[:2], -1) / 255.0
    assert found.dtype == np.uint8 and found.shape == (*shape[:2], 3)
    assert np.abs(found[..., 0] - 255 * loop_mean(unit, sigma_rgb)).max() <= 0.51
    assert (found == found[..., :1]).all()


def test_shows_the_weights_that_the_loss_uses():
    image = np.random.default_rng(1).random((6, 5, 3)).astype("float32")
    down, right = (ops.convert_to_numpy(weights)[0] for weights in neighbor_weights(image[None], 0.4))
    total, count = np.zeros((6, 5)), np.zeros((6, 5))
    for half, weights in (
        (np.s_[:-1], down),
        (np.s_[1:], down),
        (np.s_[:, :-1], right),
        (np.s_[:, 1:], right),
    ):
        total[half] += weights
        count[half] += 1
    found = neighbor_weights_image(image, 0.4, value_range=(0, 1))[..., 0]
    assert np.abs(found - 255 * total / count).max() <= 0.51


def test_sixteen_bits_show_as_eight():
    eight = np.random.default_rng(2).integers(0, 256, (4, 4), dtype="uint8")
    sixteen = eight.astype("uint16") * 257
    np.testing.assert_array_equal(
        neighbor_weights_image(eight, 0.2), neighbor_weights_image(sixteen, 0.2, (0, 65535))
    )


@pytest.mark.parametrize("sigma_rgb", [0, -1, math.nan, math.inf, "wide", None])
def test_bad_sigma(sigma_rgb):
    with pytest.raises(
        ValueError, match=f"`sigma_rgb` must be a number above 0. Received: sigma_rgb={sigma_rgb!r}"
    ):
        neighbor_weights_image(np.zeros((2, 2)), sigma_rgb)


def test_image_outside_its_range():
    with pytest.raises(ValueError, match="Received: values from 0 to 2$"):
        neighbor_weights_image(np.array([[0.0, 2.0]]), 0.1, (0, 1))
