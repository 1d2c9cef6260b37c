import keras
import numpy as np
import pytest

from keras_wsseg import callbacks, losses
from keras_wsseg.models import WeaklySupervisedModel

pytestmark = pytest.mark.any_backend


def model_and_data(loss):
    model = WeaklySupervisedModel(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]))
    model.compile(keras.optimizers.SGD(0.0), loss=loss)
    rng = np.random.default_rng(0)
    return model, rng.uniform(0, 255, (4, 8, 8, 3)).astype("float32"), rng.integers(0, 2, (4, 8, 8))


def test_per_step_with_a_keras_schedule():
    crf = losses.GatedCRFLoss(radius=1)
    schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 8, end_learning_rate=0.0)
    annealing = callbacks.ParameterScheduler(crf, "weight", schedule, per="step")
    seen = []
    spy = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(crf.weight))
    model, x, y = model_and_data(crf)
    history = model.fit(x, y, batch_size=1, epochs=2, verbose=0, callbacks=[annealing, spy]).history
    np.testing.assert_allclose(seen, [1 - step / 8 for step in range(8)], rtol=1e-6)
    np.testing.assert_allclose(history["gated_crf_weight"], [1 - 3 / 8, 1 - 7 / 8], rtol=1e-6)
    assert crf.declared("weight") == 0.01


def train(backup, seen, stop_at=None):
    """Three epochs of four steps; notes weight and sigma of each step, and breaks off after `stop_at`."""
    crf = losses.GatedCRFLoss(radius=1)

    def note(batch, logs):
        seen.append((crf.weight, crf.sigma_rgb))
        if len(seen) == stop_at:
            raise KeyboardInterrupt

    model, x, y = model_and_data(losses.PartialCrossEntropy() + crf)
    chosen = [
        callbacks.WarmUp(crf, delay_steps=3, ramp_steps=10),
        callbacks.ParameterScheduler(crf, "sigma_rgb", lambda epoch: 0.1 * (epoch + 1)),
        keras.callbacks.BackupAndRestore(backup),
        keras.callbacks.LambdaCallback(on_train_batch_end=note),
    ]
    model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=chosen)


def test_resumed_training_goes_on_with_epoch_and_step(tmp_path):
    whole, parts = [], []
    train(tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", parts, stop_at=7)
    # What lies behind the last backup, of the first epoch, is done again.
    del parts[4:]
    train(tmp_path / "parts", parts)
    assert len(whole) == 12
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_steps_are_counted_in_batches_under_gradient_accumulation():
    crf = losses.GatedCRFLoss(radius=1)
    model, x, y = model_and_data(losses.PartialCrossEntropy() + crf)
    model.compile(keras.optimizers.SGD(0.0, gradient_accumulation_steps=2), loss=model.loss)
    seen = []
    annealing = callbacks.ParameterScheduler(
        crf, "weight", lambda step: seen.append(int(step)) or 1.0, per="step"
    )
    model.fit(x, y, batch_size=1, epochs=2, verbose=0, callbacks=[annealing])
    assert seen == list(range(8))


def test_a_loss_that_is_not_the_compiled_one_is_told():
    crf = losses.GatedCRFLoss(radius=1)
    model, x, y = model_and_data(crf)
    for callback in (
        callbacks.WarmUp(losses.GatedCRFLoss(radius=1), 3),
        callbacks.ParameterScheduler(losses.GaussianKernel(sigma_rgb=1), "sigma_rgb", lambda epoch: 1.0),
    ):
        with pytest.raises(ValueError, match="must be the same object that was compiled"):
            model.fit(x, y, verbose=0, callbacks=[callback])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            ("crf", "weight", abs),
            TypeError,
            "target must be a loss or kernel of keras_wsseg. Received: 'crf'",
        ),
        (
            (losses.GatedCRFLoss(), "radius", abs),
            ValueError,
            r"parameter must be one of \('weight', 'sigma_xy', 'sigma_rgb'\) of GatedCRF",
        ),
        ((losses.GatedCRFLoss(), "weight", 3), TypeError, "schedule must be callable .* Received: 3"),
        (
            (losses.GatedCRFLoss(), "weight", abs, "batch"),
            ValueError,
            "per must be 'epoch' or 'step'. Received",
        ),
    ],
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        callbacks.ParameterScheduler(*arguments)


def test_a_schedule_out_of_range_is_an_error():
    crf = losses.GatedCRFLoss(radius=1)
    model, x, y = model_and_data(crf)
    with pytest.raises(ValueError, match="`weight` must be a number of at least 0. Received: weight=-1"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.ParameterScheduler(crf, "weight", lambda epoch: -1)])
