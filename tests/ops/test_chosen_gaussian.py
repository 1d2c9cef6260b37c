import numpy as np
import pytest
import tensorflow as tf
import ways
from keras import ops

from keras_wsseg.ops import dense_gaussian_kernel
from keras_wsseg.ops.sampled_mass import AT_ONCE, sampled_mass


def exact(features, values):
    """The sums by the definition, `(batch, pixels, channels)`."""
    found = []
    for one, value in zip(features.astype("float64"), values, strict=True):
        squares = sum(np.square(np.subtract.outer(f, f)) for f in one.T)
        found.append(np.exp(-0.5 * squares) @ value)
    return np.stack(found)


def off(found, want):
    return np.linalg.norm(np.array(found) - want) / np.linalg.norm(want)


def scenes(size=32, block=2, seed=0):
    """Features of an image in as many colors as it has blocks, and of one that landmarks do justice."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1) / 12
    colors = np.kron(rng.random((size // block, size // block, 3)), np.ones((block, block, 1)))
    colors = 17 * (colors + 0.02 * rng.normal(size=colors.shape))
    smooth = np.stack([np.sin(grid[..., 0]), np.cos(grid[..., 1]), grid.sum(-1)], axis=-1)
    images = [np.concatenate([grid, image], axis=-1) for image in (colors, smooth)]
    return [image.reshape(1, size * size, 5).astype("float32") for image in images]


def signs(pixels, seed=1):
    """What the dense CRF's gradient sums: `1 - 2 S`."""
    return 1 - 2 * np.random.default_rng(seed).dirichlet(np.ones(3), (1, pixels)).astype("float32")


def test_many_colors_are_left_to_the_lattice_and_smooth_images_to_landmarks():
    values = signs(1024)
    blocks, smooth = scenes()
    methods = ("nystrom", "permutohedral", "auto")
    kernels = [
        [dense_gaussian_kernel(scene, filter_method, landmarks=64) for filter_method in methods]
        for scene in (blocks, smooth)
    ]
    assert kernels[0][2].filter_method == "auto"
    (few, lattice, chosen), wanted = (k.apply(values) for k in kernels[0]), exact(blocks, values)
    assert off(few, wanted) > 0.3 and off(chosen, wanted) < 0.15
    np.testing.assert_array_equal(chosen, lattice)
    np.testing.assert_array_equal(kernels[0][2].diagonal(), kernels[0][1].diagonal())
    (few, lattice, chosen), wanted = (k.apply(values) for k in kernels[1]), exact(smooth, values)
    assert off(chosen, wanted) < 0.03 < off(lattice, wanted)
    np.testing.assert_array_equal(chosen, few)
    np.testing.assert_array_equal(kernels[1][2].diagonal(), kernels[1][0].diagonal())


@pytest.mark.any_backend
@pytest.mark.parametrize("compiled", ways.FIRST_WAYS)
def test_each_batch_chooses_while_a_compiled_step_runs(compiled):
    values, weights = signs(256), signs(256, seed=2)

    def total(features, values):
        return ops.sum(dense_gaussian_kernel(features, landmarks=32).apply(values) * weights)

    for features, farthest in zip(scenes(16), (0.2, 0.05), strict=True):
        ((_, (_, slope)),) = ways.value_and_slopes(total, features, values, ways=[compiled])
        assert off(slope, exact(features, weights)) < farthest


def test_one_image_of_a_batch_decides_for_all():
    values = np.concatenate([signs(1024)] * 2)
    both = np.concatenate(scenes())
    found = dense_gaussian_kernel(both, landmarks=64).apply(values)
    lattice = dense_gaussian_kernel(both, "permutohedral").apply(values)
    np.testing.assert_array_equal(found, lattice)


def test_what_lies_beyond_the_mask_is_not_looked_at():
    blocks, smooth = scenes()
    features = np.concatenate([smooth, blocks], axis=1)
    mask = (np.arange(2048) < 1024).astype("float32")[None]
    values = np.concatenate([signs(1024), np.zeros((1, 1024, 3), "float32")], axis=1)
    found = dense_gaussian_kernel(features, landmarks=64, mask=mask).apply(values)
    assert off(np.array(found)[:, :1024], exact(smooth, values[:, :1024])) < 0.03
    nothing = dense_gaussian_kernel(features, landmarks=64, mask=0 * mask).apply(values)
    assert np.isfinite(nothing).all()


def test_sizes_known_only_at_run_time():
    values = signs(1024)
    anything = [tf.TensorSpec((None, None, size), "float32") for size in (5, 3)]
    run = tf.function(lambda f, v: dense_gaussian_kernel(f, landmarks=64).apply(v), input_signature=anything)
    for features in scenes():
        want = exact(features, values)
        assert off(run(features, values), want) < 0.15


@pytest.mark.any_backend
def test_sampled_mass_is_the_exact_one():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 50, 3)).astype("float32")
    mask = (rng.random((2, 50)) < 0.7).astype("float32")
    found = sampled_mass(ops.convert_to_tensor(features[:, : 3 * AT_ONCE]), features, mask)
    want = exact(features, mask[..., None])[:, : 3 * AT_ONCE, 0]
    np.testing.assert_allclose(ops.convert_to_numpy(found), want, rtol=1e-5)
