import keras
import numpy as np
import pytest
import ways

from keras_wsseg.metrics import Dice, MeanIoU

SCORES = np.eye(4, dtype="float32")


def sets_iou(labels, prediction, classes):
    valid = labels < classes
    scores = []
    for c in range(classes):
        truth, found = (labels == c) & valid, (prediction == c) & valid
        union = (truth | found).sum()
        scores.append((truth & found).sum() / union if union else np.nan)
    return np.array(scores)


def small_net(classes=3):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(classes, 1)(x))


def small_task():
    rng = np.random.default_rng(0)
    images = rng.random((4, 8, 8, 1)).astype("float32")
    return images, rng.choice([0, 1, 2, 254, 255], (4, 8, 8)).astype("uint8")


def test_against_sets():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 254, 255], (3, 6, 6))
    prediction = rng.choice([0, 2], (3, 6, 6))
    metric = MeanIoU(4)
    metric.update_state(labels, SCORES[prediction])
    expected = sets_iou(labels, prediction, 4)
    assert np.isnan(expected[3])
    np.testing.assert_allclose(metric.per_class(), expected)
    assert float(metric.result()) == pytest.approx(np.nanmean(expected), abs=1e-6)


def test_probabilities_and_logits_score_alike():
    rng = np.random.default_rng(1)
    labels, logits = rng.integers(0, 4, (1, 6, 6)), rng.normal(size=(1, 6, 6, 4)).astype("float32")
    a, b = MeanIoU(4), MeanIoU(4)
    a.update_state(labels, logits)
    b.update_state(labels, keras.ops.softmax(logits))
    assert float(a.result()) == float(b.result())


def test_ignored_class_neither_counts_nor_is_averaged():
    labels = np.array([[[0, 0, 1, 2, 2]]])
    prediction = np.array([[[0, 2, 1, 0, 1]]])
    metric = MeanIoU(4, ignore_class=(2,))
    metric.update_state(labels, SCORES[prediction])
    np.testing.assert_allclose(metric.per_class(), [0.5, 1.0, np.nan, np.nan])
    assert float(metric.result()) == pytest.approx(0.75)


def test_everything_ignored_is_zero():
    metric = MeanIoU(4)
    assert float(metric.result()) == 0.0
    metric.update_state(np.full((1, 4, 4), 255), np.zeros((1, 4, 4, 4), "float32"))
    assert float(metric.result()) == 0.0
    assert np.isnan(metric.per_class()).all()


def test_config_round_trip():
    metric = MeanIoU(4, name="iou", ignore_class=[3])
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(clone) is MeanIoU
    assert clone.get_config() == metric.get_config()
    assert clone.name == "iou" and clone.ignored == (3,)


@pytest.mark.any_backend
@pytest.mark.parametrize("options", ways.QUICK_MODES)
def test_fit_reports_what_the_final_weights_score(options):
    images, labels = small_task()
    model = small_net()
    loss = keras.losses.MeanSquaredError()
    score = MeanIoU(3)
    model.compile("sgd", lambda y, p: loss(keras.ops.zeros_like(p), p), metrics=[score, Dice(3)], **options)
    history = model.fit(
        images, labels, batch_size=2, epochs=2, verbose=0, validation_data=(images, labels)
    ).history
    assert {"mean_iou", "dice", "val_mean_iou", "val_dice"} <= set(history)
    alone = MeanIoU(3)
    alone.update_state(labels, model(images))
    assert history["val_mean_iou"][-1] == pytest.approx(float(alone.result()), abs=1e-6)
    np.testing.assert_array_equal(score.confusion_matrix, alone.confusion_matrix)
    np.testing.assert_allclose(score.per_class(), alone.per_class())


def test_weighted_metric_in_fit():
    images, labels = small_task()
    model = small_net()
    model.compile("sgd", "mse", weighted_metrics=[MeanIoU(3)], jit_compile=True)
    model.compute_loss = lambda x, y, y_pred, sample_weight, training=True: keras.ops.mean(y_pred**2)
    weights = np.array([1.0, 0.0, 0.0, 0.0], "float32")
    scores = model.evaluate(images, labels, sample_weight=weights, batch_size=2, verbose=0, return_dict=True)
    alone = MeanIoU(3)
    alone.update_state(labels[:1], model(images[:1]))
    assert scores["mean_iou"] == pytest.approx(float(alone.result()), abs=1e-6)


def test_saved_with_a_compiled_model(tmp_path):
    images, labels = small_task()
    model = small_net()
    model.compile("sgd", "mse", metrics=[MeanIoU(3, ignore_class=[2]), Dice(3, classes=[1])])
    model.compute_loss = lambda x, y, y_pred, sample_weight, training=True: keras.ops.mean(y_pred**2)
    before = model.evaluate(images, labels, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.compute_loss = model.compute_loss
    after = loaded.evaluate(images, labels, verbose=0, return_dict=True)
    assert after["mean_iou"] == pytest.approx(before["mean_iou"], abs=1e-6)
    assert after["dice"] == pytest.approx(before["dice"], abs=1e-6)


@pytest.mark.any_backend
def test_counts_beyond_the_whole_numbers_of_float32():
    metric, count = MeanIoU(3), 2**24 + 5
    metric._add(np.zeros(count, "int32"), np.ones(count, "float32"))
    assert metric.confusion_matrix[0, 0] == count
