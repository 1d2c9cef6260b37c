import keras
import numpy as np
import pytest

from keras_wsseg import losses, targets


def test_terms_add_scale_and_flatten():
    a, b = losses.PartialCrossEntropy(), losses.GatedCRFLoss(weight=0.2)
    total = 2 * (a + 0.5 * b) + b
    assert total.terms == [a, b, b] and total.factors == [2.0, 1.0, 1.0]
    labels = np.random.default_rng(0).choice([0, 1, 255], size=(2, 6, 6))
    y_true = targets.pack(labels, np.zeros((2, 6, 6, 3)))
    y_pred = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype("float32")
    want = 2 * float(a(y_true, y_pred)) + 2 * float(b(y_true, y_pred))
    np.testing.assert_allclose(float(total(y_true, y_pred)), want, rtol=1e-5)
    assert len(total.annealed_variables) == 1 + 2 * len(b.annealed_variables)


def test_config_round_trip():
    total = losses.PartialCrossEntropy(class_weights=[1, 2]) + 0.1 * losses.GatedCRFLoss(radius=2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(total))
    assert again.get_config() == total.get_config() and again.factors == [1.0, 0.1]


def test_only_our_losses_add():
    with pytest.raises(TypeError, match="only losses of keras_wsseg can be added"):
        losses.PartialCrossEntropy() + keras.losses.MeanSquaredError()
    with pytest.raises(ValueError, match="`factor` must be a number. Received: factor='x'"):
        losses.PartialCrossEntropy() * 1.0 * "x"
    with pytest.raises(ValueError, match="`factor` must be a number. Received: factor=nan"):
        losses.PartialCrossEntropy() * float("nan")
    with pytest.raises(ValueError, match="`factors` must be a number. Received: factors=nan"):
        losses.LossSum([losses.PartialCrossEntropy()], [float("nan")])
    with pytest.raises(ValueError, match="losses must contain at least one term"):
        losses.LossSum([])
    with pytest.raises(
        ValueError, match="losses must agree in reduction. Received: .'sum', 'sum_over_batch_size'"
    ):
        losses.PartialCrossEntropy(reduction="sum") + losses.GatedCRFLoss()


def test_a_sum_reduces_as_its_terms_do():
    a = losses.PartialCrossEntropy(reduction="sum", dtype="bfloat16")
    total = a + 2 * losses.PartialCrossEntropy(reduction="sum", dtype="bfloat16")
    assert (total.reduction, total.dtype) == ("sum", "bfloat16")


def test_a_term_must_say_its_energy():
    with pytest.raises(
        NotImplementedError, match=r"SegmentationLoss must implement energy\(y_true, y_pred\)"
    ):
        losses.SegmentationLoss()(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 2)))
