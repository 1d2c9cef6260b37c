import numpy as np
import pytest
import ways

from keras_wsseg.ops.gaussian_matrix import MAX_SIGMAS, gaussian_matrix


def groups(spread, channels, seed=0):
    """Points in groups that lie `spread` from the origin, near one another within a group."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(6, channels))
    middles *= spread / np.linalg.norm(middles, axis=-1, keepdims=True)
    a, b = (middles[rng.integers(0, 6, n)] + 0.5 * rng.normal(size=(n, channels)) for n in (40, 70))
    return a.astype("float32"), b.astype("float32")


@pytest.mark.any_backend
@pytest.mark.parametrize("channels", (1, 5, 12))
def test_near_the_matrix_however_far_the_points_lie_from_the_origin(channels):
    (run,) = ways.compiled(gaussian_matrix, ways.QUICK_WAYS[0])
    for spread in (0.01, 1.0, 30.0, 60.0, 70.0, 1e3, 1e5, 1e25):
        a, b = groups(spread, channels)
        squares = np.square(a[:, None].astype("float64") - b[None]).sum(-1)
        got = np.array(run(a[None], b[None]))[0]
        lost = 3e-7 * min(spread + 3, MAX_SIGMAS) ** 2 / 2
        np.testing.assert_allclose(got, np.exp(-0.5 * squares), atol=3e-6 + lost)
        assert got.max() <= 1
