import numpy as np
import oracles
import pytest
import tensorflow as tf

from keras_wsseg.ops import local_gaussian_filter
from keras_wsseg.ops.backend import split_matmul
from keras_wsseg.ops.tiles import TILE, TileGrid, window_mask


@pytest.mark.parametrize("filter_method", ("tiles", "patches"))
@pytest.mark.parametrize("radius", (1, 3, 12))
@pytest.mark.parametrize("size", ((9, 14), (3, 2), (16, 8)))
def test_filter_matches_the_loops(size, radius, filter_method):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, *size, 2)).astype("float32")
    features = [rng.normal(size=(2, *size, c)).astype("float32") for c in (3, 1)]
    out = np.array(local_gaussian_filter(values, features, radius, [0.5, 2.0], filter_method))
    for i in range(2):
        want = oracles.gaussian_filter(values[i], [f[i] for f in features], radius, [0.5, 2.0])
        np.testing.assert_allclose(out[i], want, rtol=1e-5, atol=1e-5)


def test_more_tiles_than_one_chunk_holds():
    rng = np.random.default_rng(2)
    values = rng.random((1, 130, 121, 2)).astype("float32")
    features = rng.random((1, 130, 121, 3)).astype("float32") * 3
    out = local_gaussian_filter(values, features, 2)
    want = local_gaussian_filter(values, features, 2, filter_method="patches")
    np.testing.assert_allclose(np.array(out), np.array(want), rtol=1e-5)


def test_filter_is_its_own_adjoint():
    rng = np.random.default_rng(3)
    u, v = (tf.constant(rng.normal(size=(1, 10, 13, 2)), tf.float32) for _ in range(2))
    features = rng.normal(size=(1, 10, 13, 3)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(v)
        product = tf.reduce_sum(u * local_gaussian_filter(v, features, 4))
    np.testing.assert_allclose(
        tape.gradient(product, v), np.array(local_gaussian_filter(u, features, 4)), rtol=1e-4, atol=1e-4
    )


def test_tiles_go_there_and_back_and_the_table_points_right():
    image = np.arange(1, 11 * 19 + 1, dtype="float32").reshape(1, 11, 19, 1)
    grid = TileGrid(11, 19, 3)
    tiles = grid.to_tiles(image)
    np.testing.assert_array_equal(np.array(grid.to_image(tiles)), image)
    halo = np.array(grid.with_outside(tiles))[0, grid.table[4], 0].reshape(TILE + 6, TILE + 6)
    padded = np.pad(image[0, :, :, 0], ((3, 16), (3, 16)))
    np.testing.assert_array_equal(halo, padded[8 : 8 + TILE + 6, 8 : 8 + TILE + 6])


def test_window_mask_counts_the_neighbors():
    assert (window_mask(2).sum(axis=1) == 24).all()


def test_split_product_is_exact_where_heads_are_rounded_to_tf32(monkeypatch):
    """On a device that rounds every factor to TF32, the three products still give float32."""
    from keras import ops

    def round_to_tf32(x):
        bits = np.asarray(x, "float32").view("int32")
        return ((bits + 4096) & -8192).view("float32")

    coarse = []

    def tf32_matmul(a, b):
        coarse.append(1)
        return tf.constant(round_to_tf32(a) @ round_to_tf32(b))

    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(40, 60)).astype("float32"), rng.normal(size=(60, 30)).astype("float32")
    exact = a.astype("float64") @ b.astype("float64")
    plain_error = np.abs(round_to_tf32(a) @ round_to_tf32(b) - exact).max()
    monkeypatch.setattr(ops, "matmul", tf32_matmul)
    error = np.abs(np.array(split_matmul(a, b)) - exact).max()
    assert len(coarse) == 3
    assert plain_error > 1e-3 and error < 1e-5


def test_explicit_differences_give_the_same_kernel(monkeypatch):
    from keras_wsseg.ops import backend

    rng = np.random.default_rng(5)
    values = rng.random((1, 20, 20, 2)).astype("float32")
    features = rng.random((1, 20, 20, 4)).astype("float32") * 5
    want = np.array(local_gaussian_filter(values, features, 3))
    monkeypatch.setattr(backend, "has_coarse_matmul", lambda: True)
    np.testing.assert_allclose(np.array(local_gaussian_filter(values, features, 3)), want, rtol=1e-5)


def test_coarse_devices_resize_at_dynamic_size_with_the_whole_gradient(monkeypatch):
    from keras_wsseg.ops import backend, resize_bilinear

    images = tf.constant(np.random.default_rng(6).normal(size=(1, 5, 6, 2)), tf.float32)

    def run():
        @tf.function(input_signature=[tf.TensorSpec([None] * 4), tf.TensorSpec([2], tf.int32)])
        def resized(x, size):
            x = tf.ensure_shape(x, [None, None, None, 2])
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = resize_bilinear(x, (size[0], size[1]))
                total = tf.reduce_sum(y * tf.cos(y))
            return y, tape.gradient(total, x)

        return resized(images, tf.constant([11, 9]))

    want = run()
    monkeypatch.setattr(backend, "has_coarse_matmul", lambda: True)
    for a, b in zip(run(), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
