import numpy as np
import oracles
import pytest
import tensorflow as tf

from keras_wsseg.ops import object_fraction, positional_energy, smallness_energy, volumetric_energy


def case(size=(8, 11), seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((3, *size)), rng.random((3, *size)) < 0.6


def test_share_is_the_mean_over_the_mask():
    x, mask = case()
    np.testing.assert_allclose(object_fraction(x), x.mean(axis=(1, 2)), rtol=1e-6)
    want = [oracles.mean_where(*one) for one in zip(x, mask, strict=True)]
    np.testing.assert_allclose(object_fraction(x, mask), want, rtol=1e-6)
    assert not np.any(object_fraction(x, np.zeros_like(mask)))


def test_volume_and_smallness():
    fractions = np.array([0.02, 0.1499, 0.15, 0.6, 0.0])
    both = float(volumetric_energy(fractions.mean(), 0.4)) + 3 * float(
        np.sum(smallness_energy(fractions, 0.15))
    )
    assert both == pytest.approx(oracles.volumetric(fractions, 0.4, 0.15, 3.0), rel=1e-5)
    np.testing.assert_array_equal(np.array(smallness_energy(fractions)) > 0, [True, True, False, False, True])
    assert float(volumetric_energy(0.5)) == 0 and float(volumetric_energy(1.0)) == 0.25


@pytest.mark.parametrize("masked", (False, True))
@pytest.mark.parametrize(
    ("size", "border", "center"),
    [((8, 11), 3, 3), ((8, 11), 1, 2), ((9, 9), 2, 5), ((4, 5), 3, 3), ((3, 3), 1, 7), ((1, 1), 3, 3)],
)
def test_position(size, border, center, masked):
    x, mask = case(size)
    found = positional_energy(x, border, center, mask if masked else None)
    want = [
        oracles.positional(a, border, center, b if masked else None) for a, b in zip(x, mask, strict=True)
    ]
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, want, rtol=1e-5)


@pytest.mark.parametrize(("size", "center"), [((9, 11), 3), ((8, 10), 2)])
def test_flips_change_nothing(size, center):
    x, mask = case(size)
    want = positional_energy(x, 2, center, mask)
    for flip in (lambda a: a[:, ::-1], lambda a: a[:, :, ::-1]):
        np.testing.assert_allclose(positional_energy(flip(x), 2, center, flip(mask)), want, rtol=1e-5)


def test_frame_or_middle_outside_of_the_image_adds_nothing():
    x = np.full((1, 9, 9), 0.25)
    middle, inner = np.zeros((1, 9, 9), bool), np.zeros((1, 9, 9), bool)
    middle[:, 3:6, 3:6] = inner[:, 3:-3, 3:-3] = True
    assert float(positional_energy(x, mask=inner)[0]) == pytest.approx(0.75**2)
    assert float(positional_energy(x, mask=~middle)[0]) == pytest.approx(0.25**2)
    assert float(positional_energy(x, mask=np.zeros_like(inner))[0]) == 0


def energies(x, mask):
    fraction = object_fraction(x, mask)
    return volumetric_energy(fraction[0]) + smallness_energy(fraction, 0.9) + positional_energy(x, 2, 3, mask)


def test_gradients_by_finite_differences():
    x, mask = case((6, 5))
    x, mask = x[:1], mask[:1]

    def by_hand(z):
        fraction = oracles.mean_where(z[0], mask[0])
        return oracles.volumetric([fraction], smallest=0.9, factor=1.0) + oracles.positional(
            z[0], 2, 3, mask[0]
        )

    z = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = energies(z, mask)
    want = oracles.numeric_gradient(by_hand, x, 1e-6)
    np.testing.assert_allclose(tape.gradient(value, z), want, rtol=1e-4, atol=1e-6)


def test_no_pixel_gives_no_gradient():
    x, mask = case()
    z = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = energies(z, np.zeros_like(mask))
    assert np.isfinite(value).all() and not np.any(tape.gradient(value, z))


def test_size_known_at_run_time_only():
    x, _ = case()
    compiled = tf.function(positional_energy, input_signature=[tf.TensorSpec((None, None, None), "float16")])
    np.testing.assert_allclose(compiled(x.astype("float16")), positional_energy(x), rtol=3e-3)
