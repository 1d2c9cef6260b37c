import keras
import numpy as np
import pytest
from keras import ops

from keras_wsseg.metrics.confusion import ConfusionMetric
from keras_wsseg.ops.resize import resize_bilinear


class Accuracy(ConfusionMetric):
    def score(self, confusion):
        return ops.sum(ops.diagonal(confusion)) / ops.maximum(ops.sum(confusion), 1.0)


def loop_confusion(labels, scores, classes, ignored=(), weights=None):
    counts = np.zeros((classes, classes))
    for place in np.ndindex(labels.shape):
        truth = int(labels[place])
        if 0 <= truth < classes and truth not in ignored:
            counts[truth, int(np.argmax(scores[place]))] += 1 if weights is None else weights[place]
    return counts


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 3, 200, 254, 255], (2, 5, 7)).astype("uint8")
    return labels, rng.normal(size=(2, 5, 7, 4)).astype("float32")


def test_counts_as_a_loop_does(batch):
    labels, scores = batch
    metric = Accuracy(4)
    metric.update_state(labels, scores)
    metric.update_state(labels[:1, ..., None], scores[:1])
    expected = loop_confusion(labels, scores, 4) + loop_confusion(labels[:1], scores[:1], 4)
    np.testing.assert_array_equal(metric.confusion_matrix, expected)
    assert float(metric.result()) == pytest.approx(np.trace(expected) / expected.sum())


def test_ignored_classes_take_no_part(batch):
    labels, scores = batch
    metric = Accuracy(4, ignore_class=[2])
    metric.update_state(labels, scores)
    np.testing.assert_array_equal(metric.confusion_matrix, loop_confusion(labels, scores, 4, ignored=[2]))


def test_coarse_predictions_are_upsampled_to_the_labels():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (2, 8, 12))
    coarse = rng.normal(size=(2, 2, 3, 3)).astype("float32")
    metric = Accuracy(3)
    metric.update_state(labels, coarse)
    fine = ops.convert_to_numpy(resize_bilinear(coarse, (8, 12)))
    np.testing.assert_array_equal(metric.confusion_matrix, loop_confusion(labels, fine, 3))


def test_half_precision_predictions_are_resized_in_float32():
    labels = np.arange(64).reshape(1, 8, 8) % 2
    coarse = np.random.default_rng(2).normal(size=(1, 2, 2, 2)).astype("float16")
    half, single = Accuracy(2), Accuracy(2)
    half.update_state(labels, coarse)
    single.update_state(labels, coarse.astype("float32"))
    np.testing.assert_array_equal(half.confusion_matrix, single.confusion_matrix)


@pytest.mark.parametrize("shape", [(), (2,), (2, 1), (2, 5, 7), (2, 5, 7, 1)])
def test_sample_weights(batch, shape):
    labels, scores = batch
    weights = np.random.default_rng(3).integers(0, 5, shape).astype("float32")
    metric = Accuracy(4)
    metric.update_state(labels, scores, sample_weight=weights)
    if len(shape) == 4:
        per_pixel = weights[..., 0]
    else:
        per_pixel = np.broadcast_to(
            weights.reshape((*shape[:1], 1, 1) if len(shape) < 3 else shape), (2, 5, 7)
        )
    np.testing.assert_allclose(
        metric.confusion_matrix, loop_confusion(labels, scores, 4, weights=per_pixel), rtol=1e-6
    )


def test_a_nan_weight_on_an_ignored_pixel_does_no_harm():
    metric = Accuracy(2)
    metric.update_state(
        np.array([[[0, 255]]]), np.array([[[[1.0, 0], [1.0, 0]]]]), sample_weight=np.array([[[1.0, np.nan]]])
    )
    assert metric.confusion_matrix.tolist() == [[1, 0], [0, 0]]


def test_counts_past_what_float32_counts_by_ones():
    metric = Accuracy(2)
    labels, scores = np.zeros((1, 64, 64), "uint8"), np.zeros((1, 64, 64, 2), "float32")
    start = 3 * 2**24 + 1
    metric._counts.assign(np.array([[[start % 65536, 0], [0, 0]], [[start // 65536, 0], [0, 0]]], "float32"))
    for _ in range(20):
        metric.update_state(labels, scores)
        metric.update_state(labels[:, :1, :1], scores[:, :1, :1])
    assert metric.confusion_matrix[0, 0] == start + 20 * (64 * 64 + 1)


def test_one_batch_may_hold_more_pixels_than_float32_counts():
    metric = Accuracy(2)
    count = 2**24 + 5
    metric._add(np.zeros(count, "int32"), np.ones(count, "float32"))
    assert metric.confusion_matrix[0, 0] == count


def test_reset(batch):
    metric = Accuracy(4)
    metric.update_state(*batch)
    metric.reset_state()
    assert metric.confusion_matrix.sum() == 0


def test_config_round_trip():
    metric = Accuracy(5, ignore_class=[4, 1], name="acc")
    clone = Accuracy.from_config(metric.get_config())
    assert clone.get_config() == metric.get_config()
    assert (clone.num_classes, clone.ignored, clone.name) == (5, (1, 4), "acc")


def test_counts_stay_float32_under_a_half_precision_policy():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        metric = Accuracy(2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert [v.dtype for v in metric.variables] == ["float32"]


@pytest.mark.parametrize(
    ("labels", "scores", "weight", "message"),
    [
        ((2, 4), (2, 4, 4, 3), None, r"`y_true` must be integer labels.*Received: shape=\(2, 4\)$"),
        ((2, 4, 4, 3), (2, 4, 4, 3), None, r"`y_true` must be.*Received: shape=\(2, 4, 4, 3\)$"),
        ((2, 4, 4), (2, 4, 4, 2), None, r"`y_pred` must have shape \(batch, height, width, 3\)"),
        ((2, 4, 4), (2, 4, 4), None, r"Received: shape=\(2, 4, 4\)$"),
        ((2, 4, 4), (2, 4, 4, 3), (4, 4), r"`sample_weight` must be.*Received: shape=\(4, 4\)$"),
    ],
)
def test_wrong_shapes(labels, scores, weight, message):
    weight = None if weight is None else np.ones(weight, "float32")
    with pytest.raises(ValueError, match=message):
        Accuracy(3).update_state(np.zeros(labels, "int32"), np.zeros(scores, "float32"), weight)


def test_base_class_has_no_score():
    with pytest.raises(NotImplementedError, match="ConfusionMetric must implement"):
        ConfusionMetric(2).result()
