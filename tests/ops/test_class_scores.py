import numpy as np
import pytest
import ways
from keras import ops

from keras_wsseg.ops.class_scores import class_logits, class_probabilities, resized_class_logits

pytestmark = pytest.mark.any_backend


def logits(classes, scale=3.0):
    return np.random.default_rng(0).normal(0, scale, (2, 3, 4, classes)).astype("float32")


def softmax(z):
    weights = np.exp(z.astype("float64") - z.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def both(z):
    return np.concatenate([np.zeros_like(z), z], -1) if z.shape[-1] == 1 else z


def given(z):
    """The probabilities that a model ends in: a softmax, of one channel a sigmoid."""
    return softmax(both(z))[..., -1:].astype("float32") if z.shape[-1] == 1 else softmax(z).astype("float32")


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_both_forms_are_read_as_either(classes):
    z = logits(classes)
    want = softmax(both(z))
    np.testing.assert_array_equal(class_logits(z), both(z))
    found = np.array(class_logits(given(z), probabilities=True))
    np.testing.assert_allclose(softmax(found), want, atol=1e-6)
    np.testing.assert_allclose(class_probabilities(z), want, atol=1e-6)
    np.testing.assert_allclose(class_probabilities(given(z), probabilities=True), want, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_probabilities_of_0_and_1_stay_finite_and_what_they_were(classes):
    sure = given(logits(classes, scale=1e4))
    assert set(np.unique(sure)) == {0.0, 1.0}
    found = np.array(class_logits(sure, probabilities=True))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(softmax(found), class_probabilities(sure, probabilities=True), atol=1e-7)


def test_resizing_mixes_logits_and_the_probability_of_one_channel():
    z = np.array([[[[0.0, 2.0], [6.0, 0.0]]]], "float32")
    middle = [3.0, 1.0]
    for given_as in ((z, False), (given(z), True)):
        found = np.array(resized_class_logits(given_as[0], (1, 4), given_as[1]))[0, 0]
        np.testing.assert_allclose(softmax(found[1:3].mean(0)), softmax(np.array(middle)), rtol=1e-5)
    z = np.array([[[[-2.0], [4.0]]]], "float32")
    found = np.array(resized_class_logits(z, (1, 4)))[0, 0]
    np.testing.assert_allclose(found[:, 1] - found[:, 0], [-2, -0.5, 2.5, 4], atol=1e-6)
    found = np.array(resized_class_logits(given(z), (1, 4), True))[0, 0]
    low, high = 1 / (1 + np.exp([2.0, -4.0]))
    expected = [low, 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high, high]
    np.testing.assert_allclose(softmax(found)[:, 1], expected, rtol=1e-5)


def test_small_probabilities_keep_their_digits():
    z = np.array([[[[0.0, -60.0]]]], "float32")
    np.testing.assert_allclose(
        np.array(class_logits(softmax(z), probabilities=True))[0, 0, 0, 1], -60, rtol=1e-6
    )


def test_nan_stays_and_half_precision_becomes_float32():
    for classes in (1, 2):
        assert np.isnan(np.array(class_logits(np.full((1, 1, 1, classes), np.nan), True))).any()
        for probabilities in (False, True):
            half = np.full((1, 1, 1, classes), 0.5, "float16")
            assert np.array(class_logits(half, probabilities)).dtype == np.float32
            assert np.array(class_probabilities(half, probabilities)).dtype == np.float32


@pytest.mark.parametrize("way", ways.WAYS)
def test_gradients_through_a_sigmoid_are_those_of_its_logits(way):
    z = logits(1)

    def loss(z, probabilities):
        y = class_logits(ops.sigmoid(z) if probabilities else z, probabilities)
        return ops.sum(ops.log_softmax(y, axis=-1)[..., 0])

    found = [next(ways.value_and_slopes(lambda z, p=p: loss(z, p), z, ways=(way,))) for p in (False, True)]
    (value, (slope,)), (same, (same_slope,)) = found
    assert same == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(same_slope, slope, atol=1e-5)
