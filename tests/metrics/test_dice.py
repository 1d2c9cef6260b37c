import keras
import numpy as np
import pytest

from keras_wsseg.metrics import Dice

SCORES = np.eye(4, dtype="float32")


def sets_dice(labels, prediction, classes):
    valid = labels < classes
    scores = []
    for c in range(classes):
        truth, found = (labels == c) & valid, (prediction == c) & valid
        sizes = truth.sum() + found.sum()
        scores.append(2 * (truth & found).sum() / sizes if sizes else np.nan)
    return np.array(scores)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.choice([0, 1, 2, 254, 255], (3, 6, 6)), rng.choice([0, 1, 2], (3, 6, 6))


def test_against_sets(images):
    labels, prediction = images
    metric = Dice(4)
    metric.update_state(labels, SCORES[prediction])
    expected = sets_dice(labels, prediction, 4)
    np.testing.assert_allclose(metric.per_class(), expected)
    assert float(metric.result()) == pytest.approx(expected[1:3].mean(), abs=1e-6)


def test_chosen_classes(images):
    labels, prediction = images
    metric = Dice(4, classes=[0, 2])
    metric.update_state(labels, SCORES[prediction])
    assert float(metric.result()) == pytest.approx(sets_dice(labels, prediction, 4)[[0, 2]].mean(), abs=1e-6)


def test_streams_over_batches(images):
    labels, prediction = images
    whole, parts = Dice(4), Dice(4)
    whole.update_state(labels, SCORES[prediction])
    for i in range(3):
        parts.update_state(labels[i : i + 1], SCORES[prediction[i : i + 1]])
    assert float(parts.result()) == float(whole.result())


def test_only_background_or_nothing_is_zero():
    metric = Dice(2)
    assert float(metric.result()) == 0.0
    metric.update_state(np.zeros((1, 2, 2), int), np.tile([1.0, 0.0], (1, 2, 2, 1)))
    assert float(metric.result()) == 0.0
    np.testing.assert_allclose(metric.per_class(), [1.0, np.nan])


def test_config_round_trip():
    metric = Dice(4, classes=[3, 1], name="heart")
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(clone) is Dice
    assert clone.get_config() == metric.get_config()
    assert clone.classes == (1, 3) and clone.name == "heart"
    assert Dice.from_config(Dice(3).get_config()).classes == (1, 2)


def test_no_classes():
    text = r"`classes` must contain at least one class, and none of `ignore_class`. Received: classes="
    with pytest.raises(ValueError, match=rf"{text}\[\]$"):
        Dice(3, classes=[])
    with pytest.raises(ValueError, match=rf"{text}\[1, 2\]$"):
        Dice(3, ignore_class=2, classes=[1, 2])
    with pytest.raises(ValueError, match=rf"{text}\[\]$"):
        Dice(2, ignore_class=1)


def test_an_ignored_class_neither_counts_nor_is_averaged(images):
    labels, prediction = images
    metric = Dice(4, ignore_class=1)
    assert metric.classes == (2, 3) and metric.ignored == (1,)
    metric.update_state(labels, SCORES[prediction])
    unlabeled = np.where(labels == 1, 255, labels)
    np.testing.assert_allclose(metric.per_class(), sets_dice(unlabeled, prediction, 4))
    assert float(metric.result()) == pytest.approx(sets_dice(unlabeled, prediction, 4)[2], abs=1e-6)
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert clone.get_config() == metric.get_config() and clone.ignored == (1,)
