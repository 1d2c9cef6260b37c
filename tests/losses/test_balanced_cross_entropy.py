import keras
import numpy as np
import oracles
import pytest
import tag_oracles
import tensorflow as tf

from keras_wsseg import losses, targets


def batch(seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 254, 255], size=(2, 5, 7), p=[0.3, 0.1, 0.1, 0.2, 0.3])
    return labels, rng.normal(size=(2, 5, 7, 3)).astype("float32")


def test_value_is_the_sum_of_two_means_over_the_batch():
    labels, logits = batch()
    want = tag_oracles.balanced_cross_entropy(oracles.softmax(logits.astype("float64")), labels)
    loss = losses.BalancedCrossEntropy(weight=0.5)
    np.testing.assert_allclose(float(loss(labels, logits)), 0.5 * want, rtol=1e-5)
    packed = targets.pack(labels, np.zeros((*labels.shape, 3)))
    given = losses.BalancedCrossEntropy(from_logits=False)
    np.testing.assert_allclose(float(given(packed, oracles.softmax(logits))), want, rtol=1e-5)


def test_gradient_by_finite_differences():
    labels, logits = batch()
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = losses.BalancedCrossEntropy()(labels, x)
    want = oracles.numeric_gradient(
        lambda z: tag_oracles.balanced_cross_entropy(oracles.softmax(z), labels), logits.astype("float64")
    )
    np.testing.assert_allclose(tape.gradient(result, x), want, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("absent", ("background", "foreground", "both"))
def test_a_part_without_pixels_is_zero(absent):
    labels, logits = batch()
    if absent != "foreground":
        labels = np.where(labels == 0, 255, labels)
    if absent != "background":
        labels = np.where((labels == 1) | (labels == 2), 254, labels)
    want = tag_oracles.balanced_cross_entropy(oracles.softmax(logits.astype("float64")), labels)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = losses.BalancedCrossEntropy()(labels, x)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    slope = tape.gradient(value, x).numpy()
    assert np.isfinite(slope).all() and slope.any() == (absent != "both")


def test_background_repeated_does_not_drown_the_foreground():
    labels, logits = np.array([[[1, 0, 255, 255]]]), batch()[1][:1, :1, :4]
    value = float(losses.BalancedCrossEntropy()(labels, logits))
    more = np.concatenate([labels, np.zeros((1, 1, 9), int)], axis=2)
    repeated = np.concatenate([logits, np.repeat(logits[:, :, 1:2], 9, axis=2)], axis=2)
    np.testing.assert_allclose(float(losses.BalancedCrossEntropy()(more, repeated)), value, rtol=1e-5)


def test_coarse_logits_are_brought_to_the_labels():
    labels = np.full((1, 16, 16), 255)
    labels[0, 3, 5], labels[0, 12, 2] = 1, 0
    coarse = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    fine = tf.image.resize(coarse, (16, 16)).numpy()
    want = tag_oracles.balanced_cross_entropy(oracles.softmax(fine), labels)
    loss = losses.BalancedCrossEntropy()
    np.testing.assert_allclose(float(loss(labels, coarse)), want, rtol=1e-5)

    @tf.function(input_signature=[tf.TensorSpec([None] * 3), tf.TensorSpec([None, None, None, 2])])
    def dynamic(labels, logits):
        return loss(labels, logits)

    np.testing.assert_allclose(dynamic(tf.constant(labels, tf.float32), coarse), want, rtol=1e-5)


def test_shares_of_images_and_sample_weight():
    labels, logits = batch()
    value = float(losses.BalancedCrossEntropy()(labels, logits))
    each = np.array(losses.BalancedCrossEntropy(reduction="none")(labels, logits))
    np.testing.assert_allclose(each.mean(), value, rtol=1e-5)
    weighted = losses.BalancedCrossEntropy()(labels, logits, sample_weight=np.array([2.0, 0.0]))
    np.testing.assert_allclose(float(weighted), each[0], rtol=1e-5)


def test_huge_logits_and_zero_probabilities_stay_finite():
    labels = np.array([[[0, 1]]])
    huge = np.array([[[[-1e4, 1e4], [1e4, -1e4]]]])
    assert np.isfinite(float(losses.BalancedCrossEntropy()(labels, huge)))
    sure = np.array([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert np.isfinite(float(losses.BalancedCrossEntropy(from_logits=False)(labels, sure)))


def test_config_round_trip():
    loss = losses.BalancedCrossEntropy(weight=0.5, from_logits=False, name="ce", dtype="float16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.weight, again.from_logits, again.dtype) == (0.5, False, "float16")


def test_bad_arguments():
    with pytest.raises(ValueError, match="`weight` must be a number of at least 0. Received: weight=-2"):
        losses.BalancedCrossEntropy(weight=-2)
    with pytest.raises(ValueError, match=r"the background first. Received: shape \(2, 5, 7\)"):
        losses.BalancedCrossEntropy()(batch()[0], np.zeros((2, 5, 7)))
