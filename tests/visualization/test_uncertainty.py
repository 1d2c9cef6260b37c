import math

import numpy as np
import pytest

from keras_wsseg.visualization import uncertainty, uncertainty_image


def test_against_a_loop():
    p = np.random.default_rng(0).dirichlet([0.5] * 4, (3, 5))
    expected = [[-sum(v * math.log(v) for v in pixel) / math.log(4) for pixel in row] for row in p]
    np.testing.assert_allclose(uncertainty(p), expected, rtol=1e-5)


def test_extremes():
    np.testing.assert_allclose(uncertainty(np.array([[1.0, 0, 0], [1 / 3] * 3])), [0.0, 1.0], atol=1e-6)
    assert uncertainty(np.ones((2, 2, 1))).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_image_grows_brighter_with_uncertainty():
    p = np.linspace(1.0, 0.5, 20)
    image = uncertainty_image(np.stack([p, 1 - p], -1)[None])
    brightness = image[0].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert image.dtype == np.uint8 and image.shape == (1, 20, 3)
    assert (np.diff(brightness) > 0).all()


@pytest.mark.parametrize("values", [[3.0, -1.0], [np.nan, 0.5]])
def test_logits_are_refused(values):
    with pytest.raises(ValueError, match=r"`probabilities` must lie within \[0, 1\].*Received: values from"):
        uncertainty(np.array(values))


def test_shapes():
    with pytest.raises(ValueError, match=r"shape \(..., classes\). Received: shape=\(2, 0\)$"):
        uncertainty(np.zeros((2, 0)))
    with pytest.raises(ValueError, match=r"shape \(height, width, classes\). Received: shape=\(2, 3\)$"):
        uncertainty_image(np.zeros((2, 3)))
