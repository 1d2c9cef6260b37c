import keras
import numpy as np
import pytest

from keras_wsseg.metrics import Jaccard


def set_jaccard(labels, found, weights=None):
    weights = np.ones(labels.shape) if weights is None else weights
    valid = labels < 254
    true, found = (labels == 1) & valid, (found == 1) & valid
    union = (weights * (true | found)).sum()
    return (weights * (true & found)).sum() / union if union else np.nan


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    labels, found = rng.choice([0, 1, 254, 255], (5, 6, 6)), rng.choice([0, 1], (5, 6, 6))
    labels[1] = np.where(labels[1] == 1, 0, labels[1])
    found[1] = 0
    labels[2] = 255
    found[4] = 0
    return labels, found


def filled(metric, labels, found, weights=None):
    for part in (slice(0, 2), slice(2, 5)):
        weight = weights if weights is None else weights[part]
        metric.update_state(labels[part], np.eye(metric.num_classes, dtype="float32")[found[part]], weight)
    return metric


def test_pooled_against_sets(images):
    labels, found = images
    score = float(filled(Jaccard(), labels, found).result())
    assert score == pytest.approx(set_jaccard(labels, found), abs=1e-6)


def test_per_image_leaves_out_images_without_the_object(images):
    labels, found = images
    expected = [set_jaccard(*pair) for pair in zip(labels, found, strict=True)]
    assert np.isnan(expected).tolist() == [False, True, True, False, False]
    assert expected[4] == 0
    metric = filled(Jaccard(per_image=True), labels, found)
    assert float(metric.result()) == pytest.approx(np.nanmean(expected), abs=1e-6)
    assert float(metric.result()) != pytest.approx(set_jaccard(labels, found), abs=1e-3)
    np.testing.assert_array_equal(metric.confusion_matrix, filled(Jaccard(), labels, found).confusion_matrix)


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_weights_of_images_weigh_the_mean(images, shape):
    labels, found = images
    weights = np.array([3.0, 7.0, 5.0, 0.0, 1.0])
    expected = [set_jaccard(*pair) for pair in zip(labels, found, strict=True)]
    metric = filled(Jaccard(per_image=True), labels, found, weights.reshape(shape))
    assert float(metric.result()) == pytest.approx((3 * expected[0] + expected[4]) / 4, abs=1e-6)


def test_weights_of_pixels_weigh_within_images(images):
    labels, found = images
    weights = np.random.default_rng(1).uniform(0, 2, labels.shape)
    expected = [set_jaccard(*three) for three in zip(labels, found, weights, strict=True)]
    metric = filled(Jaccard(per_image=True), labels, found, weights)
    assert float(metric.result()) == pytest.approx(np.nanmean(expected), abs=1e-6)


def test_one_weight_for_all_changes_no_mean(images):
    labels, found = images
    metric = Jaccard(per_image=True)
    metric.update_state(labels, np.eye(2)[found], 3.0)
    assert float(metric.result()) == pytest.approx(
        float(filled(Jaccard(per_image=True), labels, found).result()), abs=1e-6
    )


@pytest.mark.parametrize("per_image", [False, True])
def test_nothing_seen_is_zero(per_image):
    metric = Jaccard(per_image=per_image)
    assert float(metric.result()) == 0.0
    metric.update_state(np.zeros((2, 3, 3), int), np.tile([1.0, 0.0], (2, 3, 3, 1)))
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize("per_image", [False, True])
def test_reset(images, per_image):
    metric = filled(Jaccard(per_image=per_image), *images)
    assert float(metric.result()) > 0
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_an_object_of_another_class_by_threshold():
    labels = np.array([[[2, 2, 0, 1]]])
    probabilities = np.array([[[[0.5, 0.1, 0.4], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]]]])
    metric = Jaccard(3, object_class=2, threshold=0.3, from_logits=False)
    metric.update_state(labels, probabilities)
    assert float(metric.result()) == pytest.approx(1 / 3)


def test_config_round_trip():
    metric = Jaccard(4, [0], "j", object_class=2, threshold=0.3, from_logits=False, per_image=True)
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(clone) is Jaccard
    assert clone.get_config() == metric.get_config()
    assert {**clone.get_config(), "dtype": None} == {
        "num_classes": 4,
        "object_class": 2,
        "threshold": 0.3,
        "from_logits": False,
        "per_image": True,
        "name": "j",
        "ignore_class": [0],
        "dtype": None,
    }


def test_state_stays_float32_under_a_half_precision_policy():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        metric = Jaccard(per_image=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert [v.dtype for v in metric.variables] == ["float32", "float32"]


def test_bad_argument():
    with pytest.raises(ValueError, match="`threshold` must be a number above 0 .* Received: threshold=2$"):
        Jaccard(threshold=2)
