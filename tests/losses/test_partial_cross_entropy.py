import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

from keras_wsseg import losses, targets


@pytest.mark.parametrize("dtype", ("float32", "float16"))
def test_logits_that_are_not_finite_are_those_of_keras(dtype):
    """A class masked by -inf, and logits that overflowed."""
    labels, logits = np.array([[[0, 1]]]), np.array([[[[0, -np.inf], [2, 7]]]], dtype)
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(losses.PartialCrossEntropy()(labels[:, :, :1], logits[:, :, :1])) == 0
    found = float(losses.PartialCrossEntropy()(labels, logits))
    assert found == pytest.approx(float(theirs(labels, logits.astype("float32"))), rel=1e-3)
    overflowed = np.array([[[[np.inf, 0]]]], dtype)
    assert float(losses.PartialCrossEntropy()(labels[:, :, :1], overflowed)) == 0


def batch(seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 254, 255], size=(2, 5, 7), p=[0.1, 0.1, 0.2, 0.2, 0.4])
    return labels, rng.normal(size=(2, 5, 7, 3)).astype("float32")


@pytest.mark.parametrize("weights", (None, [0.5, 1.0, 3.0], "batch"))
def test_value_is_the_mean_over_annotated_pixels_of_the_batch(weights):
    labels, logits = batch()
    numbers = weights
    if weights == "batch":
        counts = np.array([(labels == c).sum() for c in range(3)])
        numbers = 1 / np.log(1.1 + counts / counts.sum())
    total, count = oracles.partial_cross_entropy(oracles.softmax(logits.astype("float64")), labels, numbers)
    loss = losses.PartialCrossEntropy(class_weights=weights)
    np.testing.assert_allclose(float(loss(labels, logits)), total / count, rtol=1e-5)
    from_probabilities = losses.PartialCrossEntropy(class_weights=weights, from_logits=False)
    packed = targets.pack(labels, np.zeros((*labels.shape, 3)))
    value = float(from_probabilities(packed, oracles.softmax(logits)))
    np.testing.assert_allclose(value, total / count, rtol=1e-5)


def test_gradient_by_finite_differences():
    labels, logits = batch()

    def value(z):
        total, count = oracles.partial_cross_entropy(oracles.softmax(z), labels)
        return total / count

    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = losses.PartialCrossEntropy()(labels, x)
    want = oracles.numeric_gradient(value, logits.astype("float64"))
    np.testing.assert_allclose(tape.gradient(result, x), want, rtol=1e-4, atol=1e-7)


def test_coarse_logits_are_brought_to_the_labels_and_no_click_is_lost():
    labels = np.full((1, 16, 16), 255)
    labels[0, 3, 5] = 1
    coarse = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    fine = tf.image.resize(coarse, (16, 16)).numpy()
    want = -np.log(oracles.softmax(fine)[0, 3, 5, 1])
    loss = losses.PartialCrossEntropy()
    np.testing.assert_allclose(float(loss(labels, coarse)), want, rtol=1e-5)

    @tf.function(input_signature=[tf.TensorSpec([None] * 3), tf.TensorSpec([None, None, None, 2])])
    def dynamic(labels, logits):
        return loss(labels, logits)

    np.testing.assert_allclose(dynamic(tf.constant(labels, tf.float32), coarse), want, rtol=1e-5)


@pytest.mark.parametrize("weights", (None, "batch"))
def test_nothing_annotated_is_zero_with_a_zero_gradient(weights):
    logits = tf.constant(batch()[1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = losses.PartialCrossEntropy(class_weights=weights)(np.full((2, 5, 7), 255), logits)
    assert float(value) == 0 and not tape.gradient(value, logits).numpy().any()


def test_huge_logits_and_zero_probabilities_stay_finite():
    labels = np.zeros((1, 1, 1))
    assert np.isfinite(float(losses.PartialCrossEntropy()(labels, np.array([[[[-1e4, 1e4]]]]))))
    value = losses.PartialCrossEntropy(from_logits=False)(labels, np.array([[[[0.0, 1.0]]]]))
    assert np.isfinite(float(value))


def test_config_round_trip():
    loss = losses.PartialCrossEntropy(
        class_weights=(1, 2), from_logits=False, weight=0.5, name="ce", dtype="float16"
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.class_weights, again.dtype, again.weight) == ([1.0, 2.0], "float16", 0.5)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (
            "pixel",
            "class_weights must be None, 'batch' or one number per class. Received: class_weights='pixel'",
        ),
        ([-1.0, 1.0], "class_weights must contain one finite number of at least 0"),
        ([[1.0]], "class_weights must contain one finite number of at least 0"),
    ],
)
def test_bad_class_weights(weights, text):
    with pytest.raises(ValueError, match=text):
        losses.PartialCrossEntropy(class_weights=weights)


def test_class_weights_must_fit_the_classes():
    labels, logits = batch()
    with pytest.raises(ValueError, match="for each of the 3 classes of y_pred. Received: 2 numbers"):
        losses.PartialCrossEntropy(class_weights=[1, 2])(labels, logits)
