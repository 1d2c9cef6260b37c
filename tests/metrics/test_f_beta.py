import math

import keras
import numpy as np
import pytest

from keras_wsseg import WeaklySupervisedModel, losses
from keras_wsseg.metrics import FBeta, Jaccard


def loop_f(labels, probabilities, k, beta, threshold=None, ignored=()):
    """F from precision and recall, counted pixel by pixel."""
    tp = fp = fn = 0
    for place in np.ndindex(labels.shape):
        p = probabilities[place]
        if labels[place] >= len(p) or labels[place] in ignored:
            continue
        found = np.argmax(p) == k if threshold is None else p[k] > threshold
        true = labels[place] == k
        tp, fp, fn = tp + (true and found), fp + (found and not true), fn + (true and not found)
    if tp == 0:
        return 0.0
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 254, 255], (4, 6, 7)).astype("uint8")
    logits = rng.normal(size=(4, 6, 7, 3)).astype("float32")
    exponent = np.exp(logits.astype("float64"))
    return labels, logits, exponent / exponent.sum(-1, keepdims=True)


@pytest.mark.parametrize("beta", [0.0, 0.3**0.5, 1.0, 2.0])
@pytest.mark.parametrize("threshold", [None, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("ignored", [(), (0,)])
def test_against_precision_and_recall_of_a_loop(batch, beta, threshold, ignored):
    labels, logits, probabilities = batch
    metric = FBeta(3, ignored, beta=beta, object_class=2, threshold=threshold)
    metric.update_state(labels[:1], logits[:1])
    metric.update_state(labels[1:], logits[1:])
    expected = loop_f(labels, probabilities, 2, beta, threshold, ignored)
    assert 0 < expected < 1
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_probabilities_are_compared_as_they_are(batch):
    labels, logits, probabilities = batch
    on_logits = FBeta(3, threshold=0.4)
    on_probabilities = FBeta(3, threshold=0.4, from_logits=False)
    on_logits.update_state(labels, logits)
    on_probabilities.update_state(labels, probabilities)
    assert float(on_logits.result()) == float(on_probabilities.result())
    taken_for_logits = FBeta(3, threshold=0.4)
    taken_for_logits.update_state(labels, probabilities)
    assert float(taken_for_logits.result()) != float(on_logits.result())


def test_a_threshold_of_one_half_of_two_classes_is_argmax():
    """Probabilities that tie exactly; a softmax would decide them by its last digit."""
    rng = np.random.default_rng(1)
    labels, share = rng.integers(0, 2, (2, 8, 8)), rng.integers(1, 4, (2, 8, 8)) / 4
    assert (share == 0.5).any()
    by_argmax, by_threshold = (FBeta(threshold=threshold, from_logits=False) for threshold in (None, 0.5))
    for metric in (by_argmax, by_threshold):
        metric.update_state(labels, np.stack([1 - share, share], axis=-1))
    np.testing.assert_array_equal(by_argmax.confusion_matrix, by_threshold.confusion_matrix)


def test_below_the_threshold_the_best_of_the_others_is_predicted(batch):
    labels, logits, probabilities = batch
    metric = FBeta(3, object_class=1, threshold=0.5)
    metric.update_state(labels, logits)
    others = np.where(probabilities[..., 0] >= probabilities[..., 2], 0, 2)
    predicted = np.where(probabilities[..., 1] > 0.5, 1, others)
    expected = np.zeros((3, 3))
    np.add.at(expected, (labels[labels < 3], predicted[labels < 3]), 1)
    np.testing.assert_array_equal(metric.confusion_matrix, expected)


def test_beta_of_one_is_dice_and_of_zero_precision():
    labels, found = np.array([[[1, 1, 1, 0, 0]]]), np.array([[[1, 0, 0, 1, 0]]])
    for beta, expected in ((1.0, 2 / 5), (0.0, 1 / 2), (1e3, 1 / 3)):
        metric = FBeta(beta=beta)
        metric.update_state(labels, np.eye(2)[found])
        assert float(metric.result()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.3**0.5])
@pytest.mark.parametrize(("true", "found"), [(0, 0), (0, 1), (1, 0), (255, 1)])
def test_never_nan(beta, true, found):
    metric = FBeta(beta=beta)
    assert float(metric.result()) == 0.0
    metric.update_state(np.full((1, 2, 2), true), np.eye(2)[np.full((1, 2, 2), found)])
    assert float(metric.result()) == 0.0


def test_weights_weigh_pixels():
    labels, found = np.array([[[1, 1, 0]]]), np.array([[[1, 0, 1]]])
    metric = FBeta(beta=1.0)
    metric.update_state(labels, np.eye(2)[found], sample_weight=np.array([[[3.0, 1.0, 0.0]]]))
    assert float(metric.result()) == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    "metric", [FBeta(4, [0], "f", beta=0.5, object_class=2, threshold=0.3, from_logits=False), FBeta()]
)
def test_config_round_trip(metric):
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(clone) is FBeta
    assert clone.get_config() == metric.get_config()


def test_config_holds_every_argument():
    config = FBeta(4, [0], "f", beta=0.5, object_class=2, threshold=0.3, from_logits=False).get_config()
    assert {**config, "dtype": None} == {
        "num_classes": 4,
        "beta": 0.5,
        "object_class": 2,
        "threshold": 0.3,
        "from_logits": False,
        "name": "f",
        "ignore_class": [0],
        "dtype": None,
    }


def object_scores():
    return [
        FBeta(),
        FBeta(threshold=0.3, name="f_at_0.3"),
        Jaccard(),
        Jaccard(threshold=0.45, per_image=True, name="jaccard_mean"),
    ]


def task():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (6, 8, 8, 3)).astype("float32")
    return images, rng.choice([0, 1, 254, 255], (6, 8, 8)).astype("uint8")


def model_with(scores, **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    model = WeaklySupervisedModel(keras.Model(inputs, keras.layers.Conv2D(2, 1)(x)))
    model.compile("sgd", losses.PartialCrossEntropy(), metrics=scores, **options)
    return model


@pytest.mark.any_backend
def test_fit_reports_what_the_final_weights_score():
    images, labels = task()
    model = model_with(object_scores(), jit_compile=True)
    # The last batch is smaller: the number of images in one is known at run time only.
    fit = {"batch_size": 4, "epochs": 2, "verbose": 0, "validation_data": (images, labels)}
    history = model.fit(images, labels, **fit).history
    for alone in object_scores():
        alone.update_state(labels, model(images))
        assert 0 < float(alone.result()) < 1
        assert history[f"val_{alone.name}"][-1] == pytest.approx(float(alone.result()), abs=1e-6)


def test_saved_with_a_compiled_model(tmp_path):
    images, labels = task()
    model = model_with(object_scores(), run_eagerly=True)
    before = model.evaluate(images, labels, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(images, labels, verbose=0, return_dict=True) == pytest.approx(before, abs=1e-6)
    assert {"f_beta", "f_at_0.3", "jaccard", "jaccard_mean"} <= set(before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"beta": -0.1},
            ValueError,
            "`beta` must be a number of at least 0. Received: beta=-0.1$",
        ),
        ({"beta": math.nan}, ValueError, "`beta` must be .* Received: beta=nan$"),
        ({"beta": "big"}, ValueError, "`beta` must be .* Received: beta='big'$"),
        (
            {"threshold": 0},
            ValueError,
            "`threshold` must be a number above 0 and below 1. Received: threshold=0$",
        ),
        ({"threshold": 1.0}, ValueError, "`threshold` must be a number above 0 .* Received: threshold=1.0$"),
        (
            {"threshold": "0.5"},
            ValueError,
            "`threshold` must be a number above 0 .* Received: threshold='0.5'$",
        ),
        ({"object_class": 2}, ValueError, "must be an integer from 0 to 1. Received: object_class=2$"),
        ({"object_class": -1}, ValueError, "`object_class` must be an integer .* Received: object_class=-1$"),
        (
            {"object_class": 1.0},
            ValueError,
            "`object_class` must be an integer .*Received: object_class=1.0$",
        ),
        ({"ignore_class": [1]}, ValueError, "must not contain `object_class`. .* ignore_class=\\[1\\]$"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        FBeta(**arguments)
