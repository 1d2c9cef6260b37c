import keras
import numpy as np
import oracles
import prior_oracle
import pytest
import tensorflow as tf

from keras_wsseg.layers import PixelLabelEstimator

TAGS = np.array([[1, 0, 1], [1, 1, 0]], "float32")


def logits(size=(5, 6), classes=3):
    return (2 * np.random.default_rng(0).normal(size=(2, *size, classes)) + [3, 0, 0]).astype("float32")


def by_hand(z, tags, inside=None, **settings):
    out = np.zeros(z.shape)
    for i in range(len(z)):
        here = tags[i] == 1
        p = oracles.softmax(z[i].reshape(-1, z.shape[-1]).astype("float64"))[:, here]
        weights = None if inside is None else inside[i].ravel().astype("float64")
        beta = prior_oracle.on_grid(p / p.sum(-1, keepdims=True), prior_oracle.aims(2), 99, weights)
        out[i][..., here] = prior_oracle.labels(p, beta).reshape(*z.shape[1:3], 2)
    return out


def test_matches_the_definition():
    z = logits()
    q = np.array(PixelLabelEstimator()([z, TAGS]))
    np.testing.assert_allclose(q, by_hand(z, TAGS), atol=1e-5)
    assert (q[0, ..., 1] == 0).all() and (q[1, ..., 2] == 0).all()
    np.testing.assert_allclose(q.sum(-1), 1, rtol=1e-5)
    same = PixelLabelEstimator(from_logits=False)([oracles.softmax(z), TAGS])
    np.testing.assert_allclose(np.array(same), q, atol=1e-5)


def test_pixels_outside_do_not_count_towards_the_shares():
    z = logits()
    inside = z[..., 0] > np.median(z[..., 0])
    q = np.array(PixelLabelEstimator()([z, TAGS, inside]))
    np.testing.assert_allclose(q, by_hand(z, TAGS, inside), atol=1e-5)
    assert np.abs(q - np.array(PixelLabelEstimator()([z, TAGS]))).max() > 1e-3
    nothing = PixelLabelEstimator()([z, TAGS, np.zeros(z.shape[:3])])
    assert np.isfinite(np.array(nothing)).all()


def test_shares_and_grid_are_used():
    z = logits()
    shares = np.array(PixelLabelEstimator(min_fractions=(0.1, 0.6))([z, TAGS])).mean((1, 2))
    assert shares[0, 2] > 0.599 and shares[1, 1] > 0.599
    # A grid of one point leaves the probabilities as they are.
    coarse = np.array(PixelLabelEstimator(grid=1)([z, TAGS]))[0]
    want = prior_oracle.labels(oracles.softmax(z[0]).reshape(-1, 3), TAGS[0])
    np.testing.assert_allclose(coarse, want.reshape(5, 6, 3), atol=1e-5)


def test_certain_logits_are_finite():
    z = np.full((2, 4, 4, 3), [0.0, 0.0, 500.0], "float32")
    q = np.array(PixelLabelEstimator()([z, np.array([[1, 1, 0], [1, 0, 0]])]))
    np.testing.assert_allclose(q[0], np.full((4, 4, 3), [0.5, 0.5, 0]), atol=1e-5)
    np.testing.assert_allclose(q[1], np.full((4, 4, 3), [1, 0, 0]), atol=1e-6)


def test_no_gradient():
    z = tf.constant(logits())
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_sum(PixelLabelEstimator()([z, TAGS]) ** 2)
    assert tape.gradient(total, z) is None


def test_computes_in_float32_under_mixed_precision():
    z = logits().astype("float16")
    q = PixelLabelEstimator(dtype="mixed_float16")([z, TAGS])
    assert q.dtype == "float16"
    want = np.array(PixelLabelEstimator()([z.astype("float32"), TAGS])).astype("float16")
    np.testing.assert_array_equal(np.array(q), want)


@pytest.mark.parametrize("size", ((None, None), (5, 6)))
def test_config_and_saved_functional_model(size, tmp_path):
    layer = PixelLabelEstimator(min_fractions=(0.3, 0.25), grid=49, name="labels")
    assert PixelLabelEstimator.from_config(layer.get_config()).get_config() == layer.get_config()
    ends = [keras.Input((*size, 3)), keras.Input((3,)), keras.Input(size)]
    model = keras.Model(ends, layer(ends))
    assert model.output_shape == (None, *size, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [logits(), TAGS, np.ones((2, 5, 6))]
    out = np.array(model(inputs))
    np.testing.assert_array_equal(np.array(loaded(inputs)), out)
    np.testing.assert_allclose(out, np.array(layer(inputs[:2])), atol=1e-5)
    assert loaded.layers[-1].get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"min_fractions": 0.4},
            "`min_fractions` must be two numbers from 0 to 1, .* Received: min_fractions=0.4",
        ),
        (
            {"min_fractions": (-0.1, 0.2)},
            r"`min_fractions` must be a number from 0 to 1. Received: min_fractions=-0.1",
        ),
        ({"grid": True}, "`grid` must be an integer of at least 1. Received: grid=True"),
    ],
)
def test_bad_arguments(settings, text):
    with pytest.raises(ValueError, match=text):
        PixelLabelEstimator(**settings)


def test_inputs_that_do_not_fit():
    z = logits()
    with pytest.raises(ValueError, match=r"inputs must be \[logits, tags\] or .* Received: shape="):
        PixelLabelEstimator()(z)
    with pytest.raises(ValueError, match=r"inputs must be \[logits, tags\] or .* Received: shape="):
        PixelLabelEstimator()([z, TAGS[0]])
    with pytest.raises(ValueError, match=r"tags must have shape \(2, 3\) .* Received: shape \(2, 4\)"):
        PixelLabelEstimator()([z, np.ones((2, 4))])
    with pytest.raises(ValueError, match=r"inside must have the size of the logits, .* Received: shape"):
        PixelLabelEstimator()([z, TAGS, np.ones((2, 6, 5))])
