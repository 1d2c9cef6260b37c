import numpy as np
import object_cases
import oracles
import pytest

from keras_wsseg import losses


def test_per_image_then_mean():
    """Two images half right do not make up for each other."""
    x = np.zeros((2, 9, 9))
    x[0] = 1
    labels = np.full((2, 9, 9), 255)
    loss = losses.PositionalLoss(from_logits=False)
    assert float(loss(labels, np.stack([1 - x, x], axis=-1))) == pytest.approx(1.0)
    x[:] = 0.5
    assert float(loss(labels, np.stack([1 - x, x], axis=-1))) == pytest.approx(0.5)


def test_widths_are_in_pixels_of_the_prediction():
    labels, images, _ = object_cases.batch((8, 10))
    coarse = np.random.default_rng(1).normal(size=(6, 4, 5, 4)).astype("float32")
    x = oracles.softmax(coarse.astype("float64"))[..., 2]
    want = object_cases.terms(labels, images, x, border=1, center=2)["positional"]
    loss = losses.PositionalLoss(border=1, center=2, object_class=2)
    assert float(loss(labels, coarse)) == pytest.approx(want, rel=1e-5)


def test_flipped_images_cost_the_same():
    labels, _, logits = object_cases.batch((9, 11))
    loss = losses.PositionalLoss(object_class=2)
    want = float(loss(labels, logits))
    for axis in (1, 2):
        assert float(loss(np.flip(labels, axis), np.flip(logits, axis))) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("argument", ("border", "center"))
@pytest.mark.parametrize("value", (0, -1, 2.5, True, "3"))
def test_bad_arguments(argument, value):
    text = f"`{argument}` must be an integer of at least 1. Received: {argument}={value!r}"
    with pytest.raises(ValueError, match=text):
        losses.PositionalLoss(**{argument: value})
