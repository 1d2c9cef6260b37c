"""LearningRateMultipliers against optimizers of Keras that have the multiplied rates themselves."""

import contextlib

import h5py
import keras
import numpy as np
import pytest
import ways

from keras_wsseg.optimizers import LearningRateMultipliers

KO = keras.optimizers
RATE, FACTOR = 0.05, 0.1

OPTIMIZERS = {
    "sgd": lambda rate: KO.SGD(rate),
    "momentum": lambda rate: KO.SGD(rate, momentum=0.9),
    "nesterov": lambda rate: KO.SGD(rate, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda rate: KO.Adam(rate),
    "adamw": lambda rate: KO.AdamW(rate, weight_decay=0.1),
    "nadam": lambda rate: KO.Nadam(rate, weight_decay=0.1),
    "lion": lambda rate: KO.Lion(rate, weight_decay=0.1),
    "muon": lambda rate: KO.Muon(rate, adam_weight_decay=0.2),
    "clipped": lambda rate: KO.SGD(rate, clipnorm=0.5),
    "clipped_value": lambda rate: KO.Adam(rate, clipvalue=0.1),
    "averaged": lambda rate: KO.SGD(rate, momentum=0.9, use_ema=True, ema_overwrite_frequency=3),
    "accumulated": lambda rate: KO.AdamW(rate, weight_decay=0.1, gradient_accumulation_steps=2),
    "constant_scale": lambda rate: KO.SGD(rate, loss_scale_factor=8.0),
}


def variables():
    generator = np.random.default_rng(0)
    shapes = {"old_kernel": (3, 4), "old_bias": (4,), "new_kernel": (4, 2)}
    return [
        keras.Variable(generator.normal(size=shape), name=name, dtype="float32")
        for name, shape in shapes.items()
    ]


def gradients(steps):
    generator = np.random.default_rng(1)
    for _ in range(steps):
        shapes = [(3, 4), (4,), (4, 2)]
        yield [keras.ops.convert_to_tensor(generator.normal(size=shape), "float32") for shape in shapes]


def net():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, "tanh", name="old"), keras.layers.Dense(2, name="new")]
    return keras.Sequential([keras.Input((3,)), *layers])


def data():
    generator = np.random.default_rng(2)
    return generator.normal(size=(32, 3)).astype("float32"), generator.normal(size=(32, 2)).astype("float32")


def fit(model, epochs=2, **arguments):
    return model.fit(*data(), batch_size=8, epochs=epochs, shuffle=False, verbose=0, **arguments)


def assert_same(model, other, atol=1e-6):
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=atol, err_msg=ours.path)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_variable_moves_as_under_an_optimizer_of_its_own(name):
    make = OPTIMIZERS[name]
    ours, theirs = variables(), variables()
    multiplied = LearningRateMultipliers(make(RATE), {"old": FACTOR})
    slow, fast = make(FACTOR * RATE), make(RATE)
    slow.build(theirs[:2])
    fast.build(theirs[2:])
    for step in gradients(5):
        multiplied.apply(step, ours)
        slow.apply(step[:2])
        fast.apply(step[2:])
    for optimizer, trained in ((multiplied, ours), (slow, theirs[:2]), (fast, theirs[2:])):
        optimizer.finalize_variable_values(trained)
    for variable, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), atol=1e-6, err_msg=variable.path)
    assert int(multiplied.iterations) == int(fast.iterations) > 0


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "name,mode",
    [
        ("adamw", {"run_eagerly": True}),
        ("momentum", {"jit_compile": False}),
        ("momentum", {"jit_compile": True}),
        ("adamw", {"jit_compile": True}),
    ],
)
def test_in_fit_as_two_optimizers_of_keras(name, mode):
    make = OPTIMIZERS[name]
    ours, theirs = net(), net()
    ours.compile(LearningRateMultipliers(make(RATE), {"old": FACTOR}), "mse", **mode)
    two = KO.OptimizerMap(make(RATE), {".*old/.*": make(FACTOR * RATE)})
    theirs.compile(KO.MultiOptimizer(two), "mse", **mode)
    fit(ours)
    fit(theirs)
    assert_same(ours, theirs)
    assert np.abs(ours.weights[0].numpy() - net().weights[0].numpy()).max() > 1e-3


def test_global_norm_is_that_of_all_gradients():
    ours, (step,) = variables(), list(gradients(1))
    before = [variable.numpy() for variable in ours]
    multiplied = LearningRateMultipliers(KO.SGD(RATE, global_clipnorm=1.0), {"old": 0.0})
    multiplied.apply(step, ours)
    norm = np.sqrt(sum(np.square(gradient).sum() for gradient in step))
    assert norm > 1
    np.testing.assert_allclose(ours[2].numpy(), before[2] - RATE * np.asarray(step[2]) / norm, atol=1e-6)
    np.testing.assert_array_equal(ours[0].numpy(), before[0])


def test_first_pattern_found_counts():
    ours = variables()
    multiplied = LearningRateMultipliers(KO.SGD(), {"old_k.*l$": 0.5, "old": 0.25, "^new": 3})
    multiplied.build(ours)
    assert [multiplied.multiplier_of(variable) for variable in ours] == [0.5, 0.25, 3.0]
    other = LearningRateMultipliers(KO.SGD(), {"bias": 2})
    other.build(ours)
    assert [other.multiplier_of(variable) for variable in ours] == [1.0, 2.0, 1.0]


def test_zero_freezes_against_decay_momentum_and_what_is_not_finite():
    ours = variables()
    before = [variable.numpy() for variable in ours]
    multiplied = LearningRateMultipliers(KO.SGD(RATE, momentum=0.9, weight_decay=0.5), {"old": 0})
    for step in gradients(3):
        multiplied.apply([step[0] * np.nan, *step[1:]], ours)
    for variable, value in zip(ours[:2], before[:2], strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert np.abs(ours[2].numpy() - before[2]).max() > 0.01


def test_what_is_excluded_from_weight_decay():
    ours = variables()
    multiplied = LearningRateMultipliers(KO.AdamW(RATE, weight_decay=0.5), {"old": FACTOR})
    multiplied.exclude_from_weight_decay(var_names=["bias"])
    before = [variable.numpy() for variable in ours]
    multiplied.apply([variable.value * 0 for variable in ours], ours)
    for variable, value, kept in zip(ours, before, [1 - RATE * FACTOR * 0.5, 1, 1 - RATE * 0.5], strict=True):
        np.testing.assert_allclose(variable.numpy(), kept * value, rtol=1e-6)
    assert multiplied.inner_optimizer.weight_decay == 0.5


def test_a_schedule_counts_the_steps_once():
    schedule = KO.schedules.PiecewiseConstantDecay([3], [RATE, 0.2 * RATE])
    ours, theirs = net(), net()
    ours.compile(LearningRateMultipliers(KO.SGD(schedule), {"old": 0.5}), "mse")
    two = KO.OptimizerMap(KO.SGD(schedule))
    two[".*old/.*"] = KO.SGD(KO.schedules.PiecewiseConstantDecay([3], [0.5 * RATE, 0.1 * RATE]))
    theirs.compile(KO.MultiOptimizer(two), "mse")
    fit(ours)
    fit(theirs)
    assert_same(ours, theirs)
    assert int(ours.optimizer.iterations) == 8
    assert float(ours.optimizer.learning_rate) == pytest.approx(0.2 * RATE)
    with pytest.raises(TypeError, match="learning rate is not settable"):
        ours.optimizer.learning_rate = 1.0


def test_callbacks_set_the_one_learning_rate():
    model = net()
    model.compile(LearningRateMultipliers(KO.SGD(RATE), {"old": FACTOR}), "mse")
    rates = [RATE, 0.0]
    history = fit(
        model, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: rates[epoch])]
    ).history
    np.testing.assert_allclose(history["learning_rate"], rates)
    before = [weight.numpy() for weight in model.weights]
    fit(model, epochs=1)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    model.optimizer.learning_rate = RATE
    assert float(model.optimizer.inner_optimizer.learning_rate) == pytest.approx(RATE)


def test_state_is_that_of_the_optimizer_inside():
    plain, multiplied = KO.Adam(), LearningRateMultipliers(KO.Adam(), {"old": FACTOR})
    plain.build(variables())
    multiplied.build(variables())
    assert len(multiplied.variables) == len(plain.variables)
    assert sum(variable.name == "iteration" for variable in multiplied.variables) == 1
    multiplied.set_weights([np.full(variable.shape, 2) for variable in multiplied.variables])
    assert int(multiplied.iterations) == 2


def test_config_round_trip():
    patterns = {"z": 0.5, "a": 0, "old": 2}
    multiplied = LearningRateMultipliers(KO.SGD(RATE, momentum=0.9), patterns, name="rates")
    again = KO.deserialize(KO.serialize(multiplied))
    assert isinstance(again, LearningRateMultipliers) and again.name == "rates"
    assert list(again.multipliers.items()) == list(patterns.items())
    assert again.inner_optimizer.get_config() == multiplied.inner_optimizer.get_config()


@pytest.mark.any_backend
def test_a_saved_training_goes_on(tmp_path):
    straight, first = net(), net()
    for model in (straight, first):
        model.compile(LearningRateMultipliers(KO.Adam(RATE), {"old": FACTOR}), "mse")
    fit(straight, epochs=4)
    fit(first)
    first.save(tmp_path / "model.keras")
    first.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, LearningRateMultipliers) and int(loaded.optimizer.iterations) == 8
    fit(loaded)
    assert_same(loaded, straight)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        held = []
        file["optimizer"].visititems(lambda _, item: held.append(item) if hasattr(item, "shape") else None)
        assert len(held) == len(first.optimizer.variables)


def test_an_interrupted_training_goes_on(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("stopped")

    straight, first, second = net(), net(), net()
    for model in (straight, first, second):
        model.compile(LearningRateMultipliers(KO.SGD(RATE, momentum=0.9), {"old": FACTOR}), "mse")
    fit(straight, epochs=4)
    with pytest.raises(RuntimeError, match="stopped"):
        fit(first, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Stop()])
    fit(second, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same(second, straight)
    assert int(second.optimizer.iterations) == 16


@pytest.fixture
def mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.any_backend
@pytest.mark.usefixtures("mixed_float16")
def test_under_the_loss_scale_that_keras_puts_around_it(tmp_path):
    ours, theirs = net(), net()
    multiplied = LearningRateMultipliers(KO.SGD(RATE, momentum=0.9, loss_scale_factor=4.0), {"old": 0.0})
    ours.compile(multiplied, "mse", jit_compile=ways.ON_JAX)
    theirs.layers[0].trainable = False
    theirs.compile(KO.SGD(RATE, momentum=0.9), "mse", jit_compile=ways.ON_JAX)
    assert isinstance(ours.optimizer, KO.LossScaleOptimizer)
    assert ours.optimizer.inner_optimizer is multiplied
    fit(ours)
    fit(theirs)
    assert_same(ours, theirs, atol=2e-3)
    assert np.abs(ours.weights[2].numpy() - net().weights[2].numpy()).max() > 0.02
    ours.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    fit(loaded)
    fit(ours)
    assert_same(ours, loaded)
    assert int(loaded.optimizer.iterations) == 16


@pytest.mark.usefixtures("mixed_float16")
def test_under_a_constant_loss_scale():
    ours, theirs = net(), net()
    multiplied = LearningRateMultipliers(KO.SGD(RATE, loss_scale_factor=64.0), {"old": 1.0})
    ours.compile(multiplied, "mse", auto_scale_loss=False, jit_compile=False)
    theirs.compile(KO.SGD(RATE), "mse", auto_scale_loss=False, jit_compile=False)
    fit(ours)
    fit(theirs)
    assert_same(ours, theirs, atol=2e-3)
    assert multiplied.loss_scale_factor == 64.0


def test_gradients_and_variables_in_pairs():
    ours, (step,) = variables(), list(gradients(1))
    before = ours[0].numpy()
    multiplied = LearningRateMultipliers(KO.SGD(RATE), {"old": FACTOR})
    assert int(multiplied.apply_gradients(zip(step, ours, strict=True))) == 1
    expected = before - RATE * FACTOR * np.asarray(step[0])
    np.testing.assert_allclose(ours[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "multipliers,error,message",
    [
        (0.1, TypeError, "`multipliers` must be a dict from patterns to factors. Received: multipliers=0.1"),
        ({}, ValueError, "`multipliers` must contain at least one pattern. Received: multipliers={}"),
        ({"(": 1}, ValueError, r"must be a regular expression. Received: '\('"),
        ({3: 1}, ValueError, "must be a regular expression. Received: 3"),
        ({"a": -1}, ValueError, r"must be a number .* Received: multipliers\['a'\]=-1"),
        (
            {"a": float("nan")},
            ValueError,
            r"must be a number .* Received: multipliers\['a'\]=nan",
        ),
        (
            {"a": float("inf")},
            ValueError,
            r"must be a number .* Received: multipliers\['a'\]=inf",
        ),
        ({"a": "0.1"}, ValueError, r"must be a number .* Received: multipliers\['a'\]='0.1'"),
    ],
)
def test_bad_multipliers_say_so(multipliers, error, message):
    with pytest.raises(error, match=message):
        LearningRateMultipliers(KO.SGD(), multipliers)


@pytest.mark.parametrize(
    "multipliers,received",
    [
        ({"absent": 1}, "'absent'"),
        ({"old": 0.1, "absent": 1}, "'absent'"),
        ({"old": 1, "old_b": 2}, "'old_b'"),
    ],
)
def test_a_pattern_that_decides_nothing_says_so(multipliers, received):
    multiplied = LearningRateMultipliers(KO.SGD(), multipliers)
    message = f"must be the first .* among old_kernel, old_bias, new_kernel. Received: {received}"
    with pytest.raises(ValueError, match=message):
        multiplied.build(variables())
    assert not multiplied.built and not multiplied.inner_optimizer.built


def test_optimizers_that_cannot_be_multiplied_say_so():
    multiplied = LearningRateMultipliers(KO.SGD(), {"old": 1})
    for around in (
        "sgd",
        multiplied,
        KO.LossScaleOptimizer(KO.SGD()),
        KO.MultiOptimizer(KO.OptimizerMap(KO.SGD())),
    ):
        with pytest.raises(
            TypeError, match="`optimizer` must be .* that wraps no other.* Received: optimizer="
        ):
            LearningRateMultipliers(around, {"old": 1})
    built = KO.SGD(name="built")
    built.build(variables())
    with pytest.raises(ValueError, match="must be a new one.* Received: a built optimizer='built'"):
        LearningRateMultipliers(built, {"old": 1})


def test_pytorch_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="requires TensorFlow or JAX .* Received: backend='torch'"):
        LearningRateMultipliers(KO.SGD(), {"old": 1}).build(variables())


def test_on_two_replicas_as_on_one():
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")

    def trained(scope):
        keras.utils.set_random_seed(0)
        with scope:
            layers = [keras.layers.Dense(4, name="old"), keras.layers.Dense(2)]
            model = keras.Sequential([keras.Input((3,)), *layers])
            adamw = KO.AdamW(0.05, weight_decay=0.5)
            model.compile(LearningRateMultipliers(adamw, {"old": 0.1}), "mse", jit_compile=False)
        model.fit(tf.data.Dataset.from_tensor_slices((x, x[:, :2])).batch(4), verbose=0)
        return model.get_weights()

    for one, two in zip(trained(contextlib.nullcontext()), trained(ways.two_devices()), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
