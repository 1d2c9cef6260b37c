"""What the losses of one object share; what each computes is in the file of its name."""

import contextlib

import keras
import numpy as np
import object_cases
import oracles
import pytest
import tensorflow as tf
import ways

from keras_wsseg import WeaklySupervisedModel, losses, targets

VOLUME = {"target_fraction": 0.4, "min_fraction": 0.3, "small_weight": 2.0}
ALL = {
    "SparseCRFLoss": {"sigma_rgb": 0.4},
    "VolumetricLoss": VOLUME,
    "PositionalLoss": {"border": 2, "center": 2},
    "NegativeLoss": {"weight": 2.0},
    "SingleClassLoss": {"crf_weight": 7.0, "sigma_rgb": 0.4, "border": 2, "center": 2, **VOLUME},
}
EACH = pytest.mark.parametrize("name", ALL)


def make(kind, **changed):
    return getattr(losses, kind)(**{"object_class": object_cases.OBJECT, **ALL[kind], **changed})


def by_hand(name, labels, images, x):
    parts = object_cases.terms(
        labels, images, x, sigma_rgb=0.4, border=2, center=2, target=0.4, smallest=0.3, factor=2.0
    )
    weights = {"sparse_crf": 7.0, "volumetric": 1.0, "positional": 1.0, "negative": 2.0}
    if name == "SingleClassLoss":
        return sum(weights[term] * value for term, value in parts.items())
    term = make(name)
    return term.weight * parts[term.name]


def value_and_slope(loss, y_true, logits):
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(y_true, z)
    return float(value), np.array(tape.gradient(value, z))


@EACH
@pytest.mark.parametrize("grid", ((8, 10), (4, 5), (2, 2)))
def test_value(name, grid):
    """Classes, 254, negatives and an empty image among the labels, predictions as fine and coarser."""
    labels, images, _ = object_cases.batch()
    labels[4] = np.where(labels[4] == 254, 0, labels[4])
    logits = np.random.default_rng(1).normal(size=(6, *grid, 4)).astype("float32")
    logits[2, ..., object_cases.OBJECT] -= 3
    y, y_true = oracles.softmax(logits.astype("float64")), targets.pack(labels, images)
    want = by_hand(name, labels, images, y[..., object_cases.OBJECT])
    assert want > 0 and float(make(name)(y_true, logits)) == pytest.approx(want, rel=1e-5)
    assert float(make(name, from_logits=False)(y_true, y)) == pytest.approx(want, rel=1e-5)


@EACH
def test_gradient_by_finite_differences(name):
    labels, images, logits = object_cases.batch((3, 4))
    _, slope = value_and_slope(make(name), targets.pack(labels, images), logits)

    def value(z):
        return by_hand(name, labels, images, oracles.softmax(z)[..., object_cases.OBJECT])

    want = oracles.numeric_gradient(value, logits.astype("float64"))
    np.testing.assert_allclose(slope, want, rtol=1e-3, atol=2e-6)


@EACH
def test_the_other_kind_of_image_changes_nothing(name):
    labels, images, logits = object_cases.batch()
    known = object_cases.kinds(labels)
    mine = {"NegativeLoss": [False], "SingleClassLoss": [True, False]}.get(name, [True])
    other = [i for i, kind in enumerate(known) if kind not in mine]
    want, slope = value_and_slope(make(name), targets.pack(labels, images), logits)
    assert not slope[other].any() and np.abs(slope).max() > 0
    changed = logits.copy()
    changed[other] += 5 * np.random.default_rng(1).normal(size=changed[other].shape)
    assert float(make(name)(targets.pack(labels, images), changed)) == pytest.approx(want, rel=1e-6)
    rest = [i for i in range(6) if i not in other]
    alone = make(name)(targets.pack(labels[rest], images[rest]), logits[rest])
    assert float(alone) == pytest.approx(want, rel=1e-5)


@EACH
def test_pixels_outside_take_no_part(name):
    labels, images, logits = object_cases.batch()
    outside = (labels == 254)[..., None]
    want = float(make(name)(targets.pack(labels, images), logits))
    changed = np.where(outside, logits + 9, logits) + np.where(outside, np.arange(4), 0)
    painted = np.where(outside, 0.0, images)
    assert float(make(name)(targets.pack(labels, painted), changed)) == pytest.approx(want, rel=1e-5)


@EACH
@pytest.mark.parametrize("fill", (0, 254, 255))
@pytest.mark.parametrize("size", ((6, 5), (1, 1)))
def test_batches_of_one_kind_are_finite(name, fill, size):
    labels = np.full((2, *size), fill)
    y_true = targets.pack(labels, np.zeros((2, *size, 3), "float32"))
    for logits in (np.zeros((2, *size, 4), "float32"), np.full((2, *size, 4), [0, 0, 80, 0], "float32")):
        value, slope = value_and_slope(make(name), y_true, logits)
        assert np.isfinite(value) and np.isfinite(slope).all()
        nothing_to_say = {"SingleClassLoss": (254,), "NegativeLoss": (254, 255)}.get(name, (254, 0))
        if fill in nothing_to_say:
            assert value == 0 and not slope.any()


@EACH
@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float32"))
def test_dtype_reduction_and_sample_weight(name, dtype):
    labels, images, logits = object_cases.batch()
    y_true = targets.pack(labels, images)
    value = float(make(name)(y_true, logits))
    found, slope = value_and_slope(make(name, dtype=dtype), y_true, logits)
    assert found == pytest.approx(value, rel=0.03 if dtype != "float32" else 1e-6)
    assert np.isfinite(slope).all() and slope.any()
    each = np.array(make(name, reduction="none")(y_true, logits))
    assert each.shape == (6,) and each.mean() == pytest.approx(value, rel=1e-5)
    assert float(make(name, reduction="sum")(y_true, logits)) == pytest.approx(6 * value, rel=1e-5)
    weights = np.array([2.0, 0.5, 0.0, 1.0, 3.0, 1.0])
    weighted = float(make(name)(y_true, logits, sample_weight=weights))
    assert weighted == pytest.approx((weights * each).mean(), rel=1e-5)


@EACH
def test_config_round_trip(name):
    options = {"from_logits": False, "object_class": 1, "reduction": "sum", "name": "x", "dtype": "bfloat16"}
    loss = make(name, **options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    expected = {**ALL[name], **options}
    assert {key: again.get_config()[key] for key in expected} == pytest.approx(expected)


def segmenter():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, padding="same")])


@EACH
def test_training_lowers_it_and_a_saved_model_goes_on(name, tmp_path):
    labels, images, _ = object_cases.batch()
    images = 255 * images
    model = WeaklySupervisedModel(segmenter())
    model.compile(keras.optimizers.Adam(5e-3), loss=make(name))
    history = model.fit(images, labels, batch_size=6, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    assert {term.name for term in getattr(model.loss, "terms", [model.loss])} < set(history)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    for one in (model, again):
        one.run_eagerly = True
    values = [one.evaluate(images, labels, batch_size=6, verbose=0) for one in (model, again)]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)
    assert np.isfinite(again.fit(images, labels, verbose=0).history["loss"]).all()


@EACH
def test_half_precision_policy_is_finite(name):
    labels, images, _ = object_cases.batch()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = WeaklySupervisedModel(segmenter(), value_range=(0, 1))
        model.compile(keras.optimizers.SGD(1e-3), loss=make(name))
        history = model.fit(images, labels, batch_size=6, epochs=2, verbose=0).history
    finally:
        keras.config.set_dtype_policy(before)
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


@EACH
@pytest.mark.parametrize("object_class", (-1, 1.0, True, "1", None))
def test_bad_object_class(name, object_class):
    text = f"`object_class` must be an integer of at least 0. Received: object_class={object_class!r}"
    with pytest.raises(ValueError, match=text):
        make(name, object_class=object_class)


@EACH
@pytest.mark.parametrize(
    ("shape", "object_class"), [((2, 4, 4, 4), 4), ((2, 4, 4, 1), 2), ((2, 4, 4), 1), ((2, 4, 4, 2), 2)]
)
def test_predictions_without_the_object(name, shape, object_class):
    y_true = targets.pack(np.full((2, 4, 4), 255), np.zeros((2, 4, 4, 3), "float32"))
    text = f"y_pred must be .* object_class={object_class} among them. Received: shape "
    with pytest.raises(ValueError, match=text):
        make(name, object_class=object_class).call(y_true, tf.zeros(shape))


@pytest.mark.parametrize("weight", (-1, float("nan"), "much"))
def test_bad_weight(weight):
    for name in list(ALL)[:4]:
        with pytest.raises(
            ValueError, match=f"`weight` must be a number of at least 0. Received: weight={weight!r}"
        ):
            make(name, weight=weight)


def trained_within(scope):
    """Each term trains by itself, then all do, each time from the same weights.

    Positive and negative images lie unevenly over the two devices, one of which gets no positive one at
    first. TensorFlow's last batch gives two images to the one and one to the other.
    """
    count = 8 if ways.ON_JAX else 7
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    labels = np.full((count, 8, 8), 255)
    labels[[1, 2, 3, 5]] = 0
    labels[3, 2:] = labels[4, :3] = 254
    start = [rng.normal(size=(3, 3, 3, 4)) / 200, np.zeros(4)]
    found = {}
    with scope:
        net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, padding="same")])
        model = WeaklySupervisedModel(net)
        loss = make("SingleClassLoss")
        model.compile(keras.optimizers.SGD(1e-4), loss=loss, jit_compile=ways.ON_JAX)
        for chosen in [*([term] for term in loss.terms), loss.terms]:
            for term in loss.terms:
                term.anneal("weight", term.declared("weight") if term in chosen else 0.0)
            net.set_weights(start)
            logs = model.fit(images, labels, batch_size=4, epochs=2, shuffle=False, verbose=0).history
            moved = [np.ravel(now - before) for now, before in zip(net.get_weights(), start, strict=True)]
            found[" ".join(term.name for term in chosen)] = logs, np.concatenate(moved)
    return found


@pytest.mark.any_backend
def test_two_devices_train_as_one_does():
    one, two = trained_within(contextlib.nullcontext()), trained_within(ways.two_devices())
    assert len(one) == 5 and set(one) == set(two)
    for chosen, (logs, moved) in one.items():
        for term, values in logs.items():
            # On TensorFlow Keras weighs the sum, not the terms, by how many images a device had.
            if term != "loss" or ways.ON_JAX:
                np.testing.assert_allclose(
                    two[chosen][0][term], values, rtol=1e-4, err_msg=f"{chosen} {term}"
                )
        difference = np.abs(two[chosen][1] - moved).max()
        assert np.abs(moved).max() > 1e-5 and difference < 1e-3 * np.abs(moved).max(), chosen
