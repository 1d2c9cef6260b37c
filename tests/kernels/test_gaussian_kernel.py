import copy

import numpy as np
import pytest

from keras_wsseg.losses import GaussianKernel


def test_features_are_divided_by_sigma():
    guide = {"rgb": np.ones((2, 2, 3, 3), "float32"), "depth": np.full((2, 2, 3, 1), 4, "float32")}
    positions = np.zeros((2, 2, 3, 2), "float32")
    positions[1, 1, 2] = (4, 10)
    out = np.array(GaussianKernel(sigma_xy=2, sigma_rgb=0.5, sigma_depth=8).features(guide, positions))
    assert out.shape == (2, 2, 3, 6)
    np.testing.assert_allclose(out[1, 1, 2], [2, 5, 2, 2, 2, 0.5])


def test_numbers_are_declared_or_annealed():
    kernel = GaussianKernel(sigma_xy=6, sigma_rgb=0.1)
    kernel.sigma_rgb = 0.2
    kernel.anneal("sigma_xy", 3)
    assert (kernel.sigma_rgb, kernel.sigma_xy) == (pytest.approx(0.2), 3)
    assert kernel.get_config() == {"weight": 1.0, "sigma_xy": 6.0, "sigma_rgb": 0.2}
    assert kernel.modalities == ("xy", "rgb")
    assert (float(kernel.sigma("rgb")), float(kernel.sigma("xy"))) == (pytest.approx(0.2), 3)
    assert copy.deepcopy(kernel).get_config() == kernel.get_config()
    assert repr(kernel) == "GaussianKernel(weight=1, sigma_xy=6, sigma_rgb=0.2)"


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: GaussianKernel(), "GaussianKernel requires at least one of sigma_xy, sigma_rgb"),
        (
            lambda: GaussianKernel(sigma_xy=0),
            "`sigma_xy` must be a number of at least 0.0001. Received: sigma_xy=0",
        ),
        (lambda: GaussianKernel(sigma_rgb=float("nan")), "`sigma_rgb` must be a number of at least 0.0001"),
        (
            lambda: setattr(GaussianKernel(sigma_xy=1), "sigma_xy", 0),
            "`sigma_xy` must be a number of at least 0.0001",
        ),
        (
            lambda: GaussianKernel(sigma_xy=1).anneal("sigma_rgb", 1),
            r"attribute must be one of \('weight', 'sigma_xy'\)",
        ),
    ],
)
def test_bad_numbers(act, text):
    with pytest.raises(ValueError, match=text):
        act()


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'sigma_depth'"):
        _ = GaussianKernel(sigma_xy=1).sigma_depth


def test_only_sigmas_are_taken():
    text = "takes weight and one sigma per modality, such as sigma_depth. Received: depth=2"
    with pytest.raises(TypeError, match=text):
        GaussianKernel(sigma_xy=1, depth=2)
