import numpy as np
import pytest
import ways

from keras_wsseg.ops.gaussian_matrix import gaussian_matrix


def by_differences(a, b):
    squares = (a[:, :, None].astype("float64") - b[:, None].astype("float64")) ** 2
    return np.exp(-0.5 * squares.sum(-1))


def points(spread, channels=5, count=60, seed=0):
    """Near each other in groups, which lie far apart: what a narrow kernel sees of a picture."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-spread, spread, (2, count // 6, channels))
    return (np.repeat(centres, 6, axis=1) + rng.normal(size=(2, count, channels)) / 2).astype("float32")


@pytest.mark.any_backend
@pytest.mark.parametrize("channels", (1, 5, 12))
@pytest.mark.parametrize("spread", (0.01, 1.0, 30.0, 1000.0))
def test_near_points_far_from_the_origin_keep_their_digits(spread, channels):
    """Colours over a sigma of 0.001 lie a thousand away: |a|^2 + |b|^2 - 2ab alone is wrong by 5 % there."""
    a, b = points(spread, channels), points(spread, channels)[:, ::2]
    want = by_differences(a, b)
    assert ((want > 0.01) & (want < 0.99)).sum() > 100
    for run in ways.compiled(gaussian_matrix, *ways.QUICK_WAYS):
        found = np.asarray(run(a, b))
        np.testing.assert_allclose(found, want, atol=3e-6 + 2e-7 * spread)
        assert found.max() <= 1


def test_equal_points_are_all_alike():
    a = np.full((1, 7, 3), 123.456, "float32")
    np.testing.assert_array_equal(gaussian_matrix(a, a), np.ones((1, 7, 7)))
    np.testing.assert_array_equal(gaussian_matrix(0 * a, 0 * a), np.ones((1, 7, 7)))
