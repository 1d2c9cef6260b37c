import keras
import numpy as np
import pytest
import ways

from keras_wsseg import callbacks, losses
from keras_wsseg.models import WeaklySupervisedModel

EPOCHS = 6


def training(**compiled):
    """Two annealing epochs, two normal ones and two with negative images, of a net that stays as it is."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 9, 9, 3)).astype("float32")
    labels = np.full((4, 9, 9), 255)
    labels[1] = 0
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, padding="same")])
    net.set_weights([rng.normal(size=w.shape) / 100 for w in net.get_weights()])
    model = WeaklySupervisedModel(net)
    loss = losses.SingleClassLoss(volumetric_weight=3.0, positional_weight=0.5)
    model.compile(keras.optimizers.SGD(0.0), loss=loss, **compiled)
    stages = callbacks.SingleClassStages(loss, annealing_epochs=2, normal_epochs=2)
    fitted = model.fit(
        images, labels, batch_size=4, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[stages]
    )
    return {name: [float(value) for value in values] for name, values in fitted.history.items()}


def check(history):
    """The published stages, and that each compiled step computed with the numbers that the logs tell."""
    np.testing.assert_allclose(history["sparse_crf_sigma_rgb"], [0.1, *[0.15] * 5], rtol=1e-6)
    np.testing.assert_allclose(history["sparse_crf_weight"], [1, 1, 100, 100, 100, 100])
    np.testing.assert_allclose(history["volumetric_weight"], [3] * EPOCHS)
    np.testing.assert_allclose(history["positional_weight"], [0.5] * EPOCHS)
    np.testing.assert_allclose(history["negative_weight"], [0, 0, 0, 0, 2, 2])
    total = sum(
        np.multiply(history[f"{name}_weight"], history[name])
        for name in ("sparse_crf", "volumetric", "positional", "negative")
    )
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    # The net does not change, so the CRF's own value does with sigma alone.
    assert history["sparse_crf"][0] < 0.95 * history["sparse_crf"][1]
    np.testing.assert_allclose(history["sparse_crf"][1:], history["sparse_crf"][1], rtol=1e-5)
    assert history["negative"][0] > 0


@pytest.mark.any_backend
@pytest.mark.parametrize("compiled", ways.QUICK_MODES)
def test_every_epoch_computes_with_the_numbers_in_its_logs(compiled):
    check(training(**compiled))


def test_published_stages():
    stages = callbacks.SingleClassStages(losses.SingleClassLoss())
    for epoch in range(300):
        i, values = epoch + 1, stages.values_at(epoch)
        np.testing.assert_allclose(values["sparse_crf_sigma_rgb"], 0.05 + 0.1 * i / 15 if i <= 15 else 0.15)
        assert values["sparse_crf_weight"] == (1 if i <= 15 else 100)
        assert values["volumetric_weight"] == values["positional_weight"] == 1
        assert values["negative_weight"] == (0 if i <= 65 else 2)


@pytest.mark.parametrize("kind", ("Adam", "Nadam", "Adagrad", "SGD"))
def test_a_forgetful_optimizer_is_as_a_new_one(kind):
    model = WeaklySupervisedModel(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]))
    loss, optimizer = losses.SingleClassLoss(), getattr(keras.optimizers, kind)(1e-3)
    model.compile(optimizer, loss=loss, run_eagerly=True)
    stages = callbacks.SingleClassStages(loss, 1, 1, reset_optimizer=True)
    start = {}

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            start[epoch] = [keras.ops.convert_to_numpy(variable.value) for variable in optimizer.variables]

    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    model.fit(images, np.full((2, 8, 8), 255), epochs=2, verbose=0, callbacks=[stages, Watch()])
    new = getattr(keras.optimizers, kind)(1e-3)
    new.build(model.trainable_variables)
    assert int(optimizer.iterations) == 1
    for variable, reset in zip(new.variables, start[1], strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable.value), reset)


def test_without_annealing_the_normal_stage_comes_first():
    stages = callbacks.SingleClassStages(losses.SingleClassLoss(), annealing_epochs=0, normal_epochs=3)
    narrow = callbacks.SingleClassStages(losses.SingleClassLoss(sigma_rgb=0.03), annealing_epochs=0)
    assert narrow.values_at(0)["sparse_crf_sigma_rgb"] == 0.03
    values = [stages.values_at(epoch) for epoch in range(4)]
    assert [v["sparse_crf_sigma_rgb"] for v in values] == [0.15] * 4
    assert [v["sparse_crf_weight"] for v in values] == [100.0] * 4
    assert [v["negative_weight"] for v in values] == [0.0, 0.0, 0.0, 2.0]


@pytest.mark.parametrize("reset", (False, True))
def test_the_optimizer_forgets_at_a_new_stage_only_where_asked(reset):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(int(self.model.optimizer.iterations))

    model = WeaklySupervisedModel(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]))
    loss = losses.SingleClassLoss()
    model.compile(keras.optimizers.Adam(1e-3), loss=loss, run_eagerly=True)
    stages = callbacks.SingleClassStages(loss, 2, 1, reset_optimizer=reset)
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    labels = np.full((2, 8, 8), 255)
    model.fit(images, labels, batch_size=1, epochs=4, verbose=0, callbacks=[stages, Watch()])
    assert seen == ([2, 4, 2, 2] if reset else [2, 4, 6, 8])
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    (
        ({"annealing_epochs": -1}, "`annealing_epochs` must be an integer .* Received: annealing_epochs=-1"),
        ({"normal_epochs": 1.5}, "`normal_epochs` must be an integer .* Received: normal_epochs=1.5"),
        (
            {"initial_sigma_rgb": 0.2},
            "`initial_sigma_rgb` must be a number above 0 .*0.15.* Received: initial_sigma_rgb=0.2",
        ),
        (
            {"initial_sigma_rgb": 0},
            "`initial_sigma_rgb` must be a number above 0 .* Received: initial_sigma_rgb=0",
        ),
        ({"annealing_weight": -1}, "`annealing_weight` must be .* Received: annealing_weight=-1"),
    ),
)
def test_wrong_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        callbacks.SingleClassStages(losses.SingleClassLoss(), **arguments)


def test_another_loss_than_the_compiled_one_is_noticed():
    with pytest.raises(TypeError, match="loss must be a SingleClassLoss. Received: SparseCRFLoss"):
        callbacks.SingleClassStages(losses.SparseCRFLoss())
    model = WeaklySupervisedModel(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]))
    model.compile("sgd", loss=losses.SingleClassLoss())
    other = callbacks.SingleClassStages(losses.SingleClassLoss())
    with pytest.raises(ValueError, match="target must be the same object that was compiled"):
        model.fit(np.zeros((1, 8, 8, 3)), np.full((1, 8, 8), 255), callbacks=[other], verbose=0)
