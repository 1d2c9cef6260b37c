"""Resizing against TensorFlow's own and against overlaps computed cell by cell."""

import numpy as np
import pytest
import tensorflow as tf
import ways
from keras import ops

from keras_wsseg.ops.resize import resize_antialiased, resize_area, resize_bilinear

RESIZES = [resize_antialiased, resize_area, resize_bilinear]
SIZES = [((5, 7), (20, 28)), ((33, 41), (9, 11)), ((7, 5), (13, 3)), ((1, 6), (4, 1)), ((4, 4), (4, 4))]


def area_oracle(images, size):
    """Mean over what each output cell covers, summed cell by cell in float64."""

    def weights(n, m):
        matrix = np.zeros((m, n))
        for i in range(m):
            for j in range(n):
                overlap = min((i + 1) * n / m, j + 1) - max(i * n / m, j)
                matrix[i, j] = max(overlap, 0.0) * m / n
        return matrix

    rows, columns = weights(images.shape[1], size[0]), weights(images.shape[2], size[1])
    return np.einsum("yh,xw,bhwc->byxc", rows, columns, images.astype("float64"))


@pytest.fixture
def make_images():
    return lambda size: np.random.default_rng(0).uniform(-3, 3, (2, *size, 3)).astype("float32")


@pytest.mark.parametrize("old,new", SIZES)
def test_bilinear_equals_tensorflow(make_images, old, new):
    images = make_images(old)
    np.testing.assert_allclose(
        ops.convert_to_numpy(resize_bilinear(images, new)), tf.image.resize(images, new), atol=1e-5
    )


def test_bilinear_keeps_digits_in_large_images():
    ramp = np.arange(3000, dtype="float64")
    result = ops.convert_to_numpy(resize_bilinear(ramp.reshape(1, 1, -1, 1).astype("float32"), (1, 4096)))
    position = np.clip((np.arange(4096) + 0.5) * 3000 / 4096 - 0.5, 0, 2999)
    np.testing.assert_allclose(result.ravel(), position, rtol=2e-7)


@pytest.mark.parametrize("old,new", [*SIZES, ((97, 131), (16, 24)), ((40, 3), (1, 2))])
def test_antialiased_equals_tensorflow(make_images, old, new):
    images = make_images(old)
    np.testing.assert_allclose(
        ops.convert_to_numpy(resize_antialiased(images, new)),
        tf.image.resize(images, new, antialias=True),
        atol=1e-5,
    )


def test_antialiased_smooths_what_shrinks_and_only_that(make_images):
    stripes = np.tile(np.array([0, 1], "float32"), 32).reshape(1, 1, 64, 1)
    small = ops.convert_to_numpy(resize_antialiased(np.repeat(stripes, 4, axis=1), (8, 8)))
    # The halved tents at the border see one stripe more of one kind.
    np.testing.assert_allclose(small[:, :, 1:-1], 0.5, atol=1e-6)
    images = make_images((5, 7))
    np.testing.assert_allclose(
        ops.convert_to_numpy(resize_antialiased(images, (9, 8))),
        ops.convert_to_numpy(resize_bilinear(images, (9, 8))),
        atol=3e-6,
    )


def test_antialiased_at_its_own_size_changes_nothing_at_dynamic_size_too(make_images):
    run = tf.function(
        lambda images: resize_antialiased(images, (6, 9)),
        input_signature=[tf.TensorSpec((None, None, None, 3))],
    )
    images = make_images((6, 9))
    np.testing.assert_array_equal(run(images), images)


@pytest.mark.parametrize("old,new", [*SIZES, ((12, 9), (4, 3)), ((6, 6), (4, 9))])
def test_area_equals_overlaps(make_images, old, new):
    images = make_images(old)
    np.testing.assert_allclose(
        ops.convert_to_numpy(resize_area(images, new)), area_oracle(images, new), atol=1e-5
    )


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_inside_a_function_of_dynamic_size(make_images, resize, jit_compile):
    signature = [tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((2,), "int32")]
    if jit_compile:
        # XLA compiles one program per size, so the target's size follows the image's there.
        signature = signature[:1]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def run(images, size=None):
        shape = tf.shape(images)
        return resize(images, (shape[1] * 2, shape[2] * 3) if jit_compile else (size[0], size[1]))

    for old, new in [((5, 7), (10, 21)), ((3, 2), (6, 6))]:
        images = make_images(old)
        result = run(images) if jit_compile else run(images, np.array(new, "int32"))
        np.testing.assert_allclose(result, ops.convert_to_numpy(resize(images, new)), atol=1e-6)


@pytest.mark.parametrize("resize", RESIZES)
def test_gradient_is_the_transposed_product(make_images, resize):
    images = tf.constant(make_images((4, 5)))
    probe = make_images((7, 3))
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(resize(images, (7, 3)) * probe)
    gradient = tape.gradient(value, images)
    # Linear in the image: the value is the image times its gradient.
    np.testing.assert_allclose(tf.reduce_sum(gradient * images), value, rtol=1e-5)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(
    "dtype,expected", [("float16", "float16"), ("bfloat16", "bfloat16"), ("uint8", "float32")]
)
def test_dtype_and_precision(resize, dtype, expected):
    images = ops.cast(np.arange(2 * 6 * 8 * 3).reshape(2, 6, 8, 3) % 200, dtype)
    for size in [(4, 5), (6, 8), (3, 4)]:
        result = resize(images, size)
        assert result.dtype.name == expected
        full = resize(ops.cast(images, "float32"), size)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ops.cast(result, "float32")),
            ops.convert_to_numpy(ops.cast(ops.cast(full, expected), "float32")),
        )


@pytest.mark.parametrize("resize", RESIZES)
def test_bad_arguments_say_so(resize):
    with pytest.raises(ValueError, match=r"`images` must have shape .* Received: shape=\(4, 4, 3\)"):
        resize(np.zeros((4, 4, 3), "float32"), (2, 2))
    with pytest.raises(ValueError, match=r"`size` must be \(height, width\).* Received: size=\(0, 2\)"):
        resize(np.zeros((1, 4, 4, 3), "float32"), (0, 2))
    with pytest.raises(ValueError, match=r"Received: size=\(2, 2, 2\)"):
        resize(np.zeros((1, 4, 4, 3), "float32"), (2, 2, 2))


def tent_oracle(images, size, antialias):
    """Tents over the old pixels, as wide as a new pixel where smoothing is asked for, in float64."""

    def weights(n, m):
        centers = (np.arange(m)[:, None] + 0.5) * n / m - 0.5
        if not antialias:
            centers = np.clip(centers, 0, n - 1)
        tents = np.maximum(1 - np.abs(np.arange(n) - centers) / (max(n / m, 1) if antialias else 1), 0)
        return tents / tents.sum(axis=1, keepdims=True)

    rows, columns = weights(images.shape[1], size[0]), weights(images.shape[2], size[1])
    return np.einsum("yh,xw,bhwc->byxc", rows, columns, images.astype("float64"))


@pytest.mark.any_backend
def test_every_way_equals_the_loops(make_images):
    images = make_images((9, 7))
    for resize, want in (
        (resize_antialiased, tent_oracle(images, (13, 4), antialias=True)),
        (resize_area, area_oracle(images, (13, 4))),
        (resize_bilinear, tent_oracle(images, (13, 4), antialias=False)),
    ):
        for run in ways.compiled(lambda x, resize=resize: resize(x, (13, 4)), *ways.QUICK_WAYS):
            np.testing.assert_allclose(run(images), want, atol=2e-6, err_msg=resize.__name__)
