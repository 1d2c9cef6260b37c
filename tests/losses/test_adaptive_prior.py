import keras
import numpy as np
import oracles
import prior_oracle
import pytest
import tensorflow as tf

from keras_wsseg import WeaklySupervisedModel, losses, targets


def batch(size=(6, 8), classes=3, seed=0):
    """Label maps of images with one object, logits, and the classes that are there."""
    rng = np.random.default_rng(seed)
    labels = np.full((3, *size), 255)
    labels[0, 0, 0] = labels[2, 1, 1] = 2
    labels[1, 2, 0] = 1
    labels[1, :, -2:] = labels[2, :2, :4] = 254
    labels[2, 2, 0] = 2
    logits = 2 * rng.normal(size=(3, *size, classes)) + 2 * np.eye(classes)[0]
    return labels, logits.astype("float32"), [[0, 2], [0, 1], [0, 2]]


def estimates(logits, here, inside, fractions=(0.4, 0.2), grid=99):
    """q of each image."""
    q = np.zeros(logits.shape)
    for i in range(len(q)):
        p = oracles.softmax(logits[i].reshape(-1, logits.shape[-1]).astype("float64"))[:, here[i]]
        p /= p.sum(-1, keepdims=True)
        c = prior_oracle.aims(len(here[i]), *fractions)
        beta = prior_oracle.on_grid(p, c, grid, inside[i].ravel().astype("float64"))
        flat = np.zeros((len(p), logits.shape[-1]))
        flat[:, here[i]] = prior_oracle.labels(p, beta)
        q[i] = flat.reshape(q[i].shape)
    return q


def value(q, logits, inside):
    """-mean_j sum_l q_j(l) log p_j(l) of each image, as loops."""
    found = []
    for i in range(len(q)):
        total = 0.0
        for a in np.argwhere(inside[i]):
            p = oracles.softmax(logits[i][tuple(a)].astype("float64"))
            total -= sum(q[i][tuple(a)] * np.log(p))
        found.append(total / inside[i].sum())
    return np.array(found)


@pytest.mark.parametrize("from_logits", (True, False))
def test_the_estimate_is_what_the_loss_trains_towards(from_logits):
    labels, logits, here = batch()
    tags, inside = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 1]]), labels != 254
    loss = losses.AdaptivePriorLoss(0.5, 0.3, 0.25, from_logits=from_logits)
    y_pred = logits if from_logits else oracles.softmax(logits)
    want = estimates(logits, here, inside, (0.3, 0.25))
    np.testing.assert_allclose(np.array(loss.estimate(y_pred, tags, inside)), want, atol=1e-4)
    everywhere = estimates(logits, here, np.ones_like(inside), (0.3, 0.25))
    np.testing.assert_allclose(np.array(loss.estimate(y_pred, tags)), everywhere, atol=1e-4)


def test_value():
    labels, logits, here = batch()
    inside = labels != 254
    for fractions, grid in (((0.4, 0.2), 99), ((0.2, 0.5), 9)):
        loss = losses.AdaptivePriorLoss(0.5, *fractions, grid=grid, reduction="none")
        want = value(estimates(logits, here, inside, fractions, grid), logits, inside)
        np.testing.assert_allclose(np.array(loss(labels, logits)), 0.5 * want, rtol=1e-4)
    loss = losses.AdaptivePriorLoss()
    want = value(estimates(logits, here, inside), logits, inside).mean()
    assert float(loss(labels, logits)) == pytest.approx(want, rel=1e-4)
    probabilities = losses.AdaptivePriorLoss(from_logits=False)
    assert float(probabilities(labels, oracles.softmax(logits))) == pytest.approx(want, rel=1e-4)


def test_several_objects():
    """Both objects get their share of the labels towards which the net is drawn."""
    labels, logits, _ = batch()
    labels[:, 3, 3], labels[:, 4, 4] = 1, 2
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = losses.AdaptivePriorLoss(reduction="sum")(labels, z)
    inside = labels != 254
    # The slope is (p - q) over the number of pixels inside.
    count = inside.sum((1, 2))[:, None, None, None]
    q = oracles.softmax(logits) - np.array(tape.gradient(loss, z)) * count
    q = np.where(inside[..., None], q, 0)
    np.testing.assert_allclose(q[inside].sum(-1), 1, rtol=1e-3)
    assert (q.sum((1, 2)) / count[:, 0, 0] > np.array([0.4, 0.2, 0.2]) - 1e-3).all()


def test_tags_come_before_the_label_map():
    labels, logits, _ = batch()
    tags = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]], "float32")
    here, inside = [[0, 1], [0, 1], [0]], labels != 254
    with targets.guide_layout(rgb=3, tags=3):
        y_true = targets.pack(np.where(labels == 254, 254, 255), np.zeros((*labels.shape, 3)), tags)
        found = float(losses.AdaptivePriorLoss()(y_true, logits))
    q = estimates(logits[:2], here[:2], inside[:2])
    q = np.concatenate([q, np.full((1, *q.shape[1:]), [1.0, 0, 0])])
    assert found == pytest.approx(value(q, logits, inside).mean(), rel=1e-4)


def test_coarser_predictions_count_where_a_cell_is_inside():
    labels, _, here = batch((6, 8))
    logits = batch((3, 4), seed=1)[1]
    inside = (labels != 254).reshape(3, 3, 2, 4, 2).all((2, 4))
    want = value(estimates(logits, here, inside), logits, inside).mean()
    assert float(losses.AdaptivePriorLoss()(labels, logits)) == pytest.approx(want, rel=1e-4)


def test_gradient_is_that_of_frozen_labels():
    labels, logits, here = batch((3, 4))
    inside = labels != 254
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = losses.AdaptivePriorLoss()(labels, z)
    slope = np.array(tape.gradient(loss, z))
    q = estimates(logits, here, inside)
    want = oracles.numeric_gradient(lambda x: value(q, x, inside).mean(), logits.astype("float64"))
    np.testing.assert_allclose(slope, want, rtol=1e-3, atol=1e-5)

    def thawed(x):
        return value(estimates(x, here, inside), x, inside).mean()

    # The labels do move with the logits: without freezing the gradient were another one.
    assert np.abs(oracles.numeric_gradient(thawed, logits.astype("float64")) - want).max() > 1e-2


def test_images_wholly_outside_take_no_part():
    labels, logits, _ = batch()
    want = float(losses.AdaptivePriorLoss()(labels, logits))
    more = np.concatenate([labels, np.full_like(labels[:2], 254)])
    z = tf.constant(np.concatenate([logits, 50 * logits[:2]]))
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = losses.AdaptivePriorLoss()(more, z)
    assert float(value) == pytest.approx(want, rel=1e-5)
    slope = np.array(tape.gradient(value, z))
    assert np.isfinite(slope).all() and not slope[3:].any()
    assert float(losses.AdaptivePriorLoss()(np.full_like(labels, 254), logits)) == 0


@pytest.mark.parametrize("fill", (0, 1, 255))
def test_certain_predictions_are_finite(fill):
    labels = np.full((2, 4, 4), fill)
    for certain in range(3):
        z = tf.constant(np.full((2, 4, 4, 3), 200 * np.eye(3)[certain], "float32"))
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = losses.AdaptivePriorLoss()(labels, z)
        assert np.isfinite(value) and np.isfinite(tape.gradient(value, z)).all()


@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float32"))
def test_dtype_reduction_and_sample_weight(dtype):
    labels, logits, _ = batch()
    value = float(losses.AdaptivePriorLoss()(labels, logits))
    found = float(losses.AdaptivePriorLoss(dtype=dtype)(labels, logits))
    assert found == pytest.approx(value, rel=0.03 if dtype != "float32" else 1e-6)
    each = np.array(losses.AdaptivePriorLoss(reduction="none")(labels, logits))
    assert each.shape == (3,) and each.mean() == pytest.approx(value, rel=1e-5)
    weighted = float(losses.AdaptivePriorLoss()(labels, logits, sample_weight=np.array([3.0, 0.0, 0.0])))
    assert weighted == pytest.approx(each[0], rel=1e-5)


def test_config_round_trip():
    settings = {
        "weight": 0.5,
        "min_background_fraction": 0.3,
        "min_object_fraction": 0.1,
        "grid": 49,
        "from_logits": False,
    }
    loss = losses.AdaptivePriorLoss(**settings, reduction="sum", name="prior", dtype="bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    expected = {**settings, "reduction": "sum", "name": "prior", "dtype": "bfloat16"}
    assert {name: again.get_config()[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("policy", ("float32", "mixed_float16"))
def test_training_from_tags(policy, tmp_path):
    """Bright patches are class 1 and dark ones class 2: the tags tell which is there, not where."""
    rng = np.random.default_rng(0)
    tags = np.eye(3)[[1, 2] * 4] + np.eye(3)[0]
    images = np.full((8, 12, 12, 3), 120.0) + rng.normal(size=(8, 12, 12, 3)) * 5
    truth = np.zeros((8, 12, 12), "int64")
    for i in range(8):
        row, column = rng.integers(0, 6, 2)
        truth[i, row : row + 6, column : column + 6] = 1 + i % 2
        images[i, row : row + 6, column : column + 6] += 100 if i % 2 == 0 else -100
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        image = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 60, offset=-2)(image)
        x = keras.layers.Conv2D(8, 1, activation="relu")(x)
        net = keras.Model(image, keras.layers.Conv2D(3, 1, dtype="float32")(x))
        model = WeaklySupervisedModel(net)
        model.compile(keras.optimizers.Adam(0.03), loss=losses.AdaptivePriorLoss())
        images = images.clip(0, 255).astype("float32")
        history = model.fit(images, tags, batch_size=8, epochs=60, verbose=0).history
    finally:
        keras.config.set_dtype_policy(before)
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < 0.7 * history["loss"][0]
    agreement = np.mean(model.predict(images, verbose=0).argmax(-1) == truth)
    # Background everywhere would agree in 0.75.
    assert agreement > 0.85
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"weight": -1}, "`weight` must be a number of at least 0. Received: weight=-1"),
        (
            {"min_background_fraction": 1.5},
            "a number from 0 to 1. Received: min_background_fraction=1.5",
        ),
        (
            {"min_object_fraction": "much"},
            "a number from 0 to 1. Received: min_object_fraction='much'",
        ),
        ({"grid": 0}, "`grid` must be an integer of at least 1. Received: grid=0"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        losses.AdaptivePriorLoss(**arguments)


def test_bad_predictions():
    with pytest.raises(ValueError, match=r"y_pred must be \(batch.*classes\). Received: shape \(2, 4, 4\)"):
        losses.AdaptivePriorLoss().call(np.full((2, 4, 4), 255), tf.zeros((2, 4, 4)))
