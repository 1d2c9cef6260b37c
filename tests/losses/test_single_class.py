import keras
import numpy as np
import object_cases
import oracles
import pytest
import tensorflow as tf

from keras_wsseg import WeaklySupervisedModel, losses, targets

TERMS = ("sparse_crf", "volumetric", "positional", "negative")
SETTINGS = {
    "crf_weight": 7.0,
    "volumetric_weight": 0.5,
    "positional_weight": 0.25,
    "negative_weight": 3.0,
    "sigma_rgb": 0.4,
    "target_fraction": 0.4,
    "min_fraction": 0.3,
    "small_weight": 2.0,
    "small_reduction": "mean",
    "border": 2,
    "center": 2,
    "object_class": 2,
}


def test_weighted_sum_of_the_terms_by_hand():
    labels, images, logits = object_cases.batch()
    x = oracles.softmax(logits.astype("float64"))[..., 2]
    parts = object_cases.terms(
        labels,
        images,
        x,
        sigma_rgb=0.4,
        border=2,
        center=2,
        target=0.4,
        smallest=0.3,
        factor=2.0,
        reduce=np.mean,
    )
    loss, y_true = losses.SingleClassLoss(**SETTINGS), targets.pack(labels, images)
    weights = dict(zip(TERMS, (7.0, 0.5, 0.25, 3.0), strict=True))
    assert float(loss(y_true, logits)) == pytest.approx(sum(weights[k] * parts[k] for k in TERMS), rel=1e-5)
    assert [term.name for term in loss.terms] == list(TERMS)
    for term in (loss.crf, loss.volumetric, loss.positional, loss.negative):
        found = float(term(y_true, logits)) / term.weight
        assert found == pytest.approx(parts[term.name], rel=1e-5), term.name


def test_annealing_of_a_term_shows_in_the_sum_even_once_compiled():
    labels, images, logits = object_cases.batch()
    y_true, loss = targets.pack(labels, images), losses.SingleClassLoss(object_class=2)
    total = tf.function(lambda: loss(y_true, logits))
    full = float(total())
    rest = full - float(loss.crf(y_true, logits))
    for sigma_rgb, weight in ((0.06, 1.0), (0.1, 3.0)):
        loss.crf.anneal("sigma_rgb", sigma_rgb)
        loss.crf.anneal("weight", weight)
        crf = losses.SparseCRFLoss(weight, sigma_rgb, object_class=2)(y_true, logits)
        assert float(total()) == pytest.approx(rest + float(crf), rel=1e-4)
    loss.negative.anneal("weight", 0.0)
    changed = float(losses.NegativeLoss(object_class=2)(y_true, logits))
    assert float(total()) == pytest.approx(rest + float(crf) - changed, rel=1e-4)
    assert loss.get_config() == losses.SingleClassLoss(object_class=2).get_config()


def test_terms_belong_to_the_state_of_a_training():
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
    model, loss = WeaklySupervisedModel(net), losses.SingleClassLoss()
    model.compile("sgd", loss=loss)
    assert all(model.trains(term) for term in loss.terms)
    assert not model.trains(losses.SparseCRFLoss())


def test_adds_to_other_losses():
    labels, images, logits = object_cases.batch()
    y_true, loss = targets.pack(labels, images), losses.SingleClassLoss(object_class=2)
    both = losses.PartialCrossEntropy() + 0.5 * loss
    want = float(losses.PartialCrossEntropy()(y_true, logits)) + 0.5 * float(loss(y_true, logits))
    assert float(both(y_true, logits)) == pytest.approx(want, rel=1e-5)
    assert loss.crf in both.terms


def test_config_round_trip():
    options = {**SETTINGS, "from_logits": False, "reduction": "sum", "name": "object", "dtype": "bfloat16"}
    loss = losses.SingleClassLoss(**options)
    assert loss.get_config() == options
    loss.crf.weight = 4.0
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config() == {**options, "crf_weight": 4.0}
    for one, other in zip(loss.terms, again.terms, strict=True):
        assert one.get_config() == other.get_config()


def test_finds_the_object_of_images_that_nobody_has_labeled():
    """Bright squares of other sizes and places, and negative images whose bright frame is no object."""
    rng = np.random.default_rng(0)
    images = rng.normal(60, 6, size=(10, 24, 24, 3))
    truth = np.zeros((10, 24, 24), bool)
    for i in range(8):
        size, top, left = rng.integers(12, 15), *rng.integers(4, 7, size=2)
        truth[i, top : top + size, left : left + size] = True
    images[truth] += (120, 30, 0)
    labels = np.full((10, 24, 24), 255)
    labels[8:] = 0
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 100, -1.0),
            keras.layers.Conv2D(8, 1, activation="relu"),
            keras.layers.Conv2D(2, 1),
        ]
    )
    model = WeaklySupervisedModel(net)
    model.compile(keras.optimizers.Adam(0.03), loss=losses.SingleClassLoss(crf_weight=10.0))
    history = model.fit(images.astype("float32"), labels, batch_size=5, epochs=40, verbose=0).history
    assert set(TERMS) < set(history) and history["loss"][-1] < 0.5 * history["loss"][0]
    found = net.predict(images.astype("float32"), verbose=0).argmax(axis=-1) == 1
    assert (found & truth).sum() / (found | truth).sum() > 0.9


@pytest.mark.parametrize("argument", [k for k in SETTINGS if k.endswith("_weight")])
@pytest.mark.parametrize("value", (-1, float("inf"), float("nan"), "much"))
def test_bad_weights(argument, value):
    text = f"`?{argument}`? must be a (finite )?number of at least 0. Received: {argument}={value!r}"
    with pytest.raises(ValueError, match=text):
        losses.SingleClassLoss(**{argument: value})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sigma_rgb": 0}, "`sigma_rgb` must be a number above 0. Received: sigma_rgb=0"),
        (
            {"target_fraction": 2},
            "`target_fraction` must be a number from 0 to 1. Received: target_fraction=2",
        ),
        ({"min_fraction": -1}, "`min_fraction` must be a number from 0 to 1. Received: min_fraction=-1"),
        ({"small_reduction": "max"}, "small_reduction must be one of .* Received: small_reduction='max'"),
        ({"border": 0}, "`border` must be an integer of at least 1. Received: border=0"),
        ({"center": 0}, "`center` must be an integer of at least 1. Received: center=0"),
        ({"object_class": -1}, "`object_class` must be an integer of at least 0. Received: object_class=-1"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        losses.SingleClassLoss(**arguments)
