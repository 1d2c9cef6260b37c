import numpy as np
import object_cases
import pytest

from keras_wsseg import losses


def test_square_of_the_share_of_each_negative_image():
    x = np.array([0.2, 0.6, 0.9])[:, None, None] * np.ones((3, 4, 4))
    labels = np.zeros((3, 4, 4), int)
    labels[2] = 255
    loss = losses.NegativeLoss(from_logits=False)
    assert loss.weight == 2
    y = np.stack([1 - x, x], axis=-1)
    assert float(loss(labels, y)) == pytest.approx(2 * (0.2**2 + 0.6**2) / 2, rel=1e-5)


def test_any_other_class_makes_an_image_negative_and_the_object_a_positive_one():
    x = np.full((1, 4, 4), 0.5)
    y = np.stack([1 - x, x, 0 * x], axis=-1)
    labels = np.full((1, 4, 4), 2)
    labels[0, 0] = 254
    loss = losses.NegativeLoss(weight=1.0, from_logits=False)
    assert float(loss(labels, y)) == pytest.approx(0.25)
    for ids in (1, 255):
        some = labels.copy()
        some[0, 2, 2] = ids
        assert float(loss(some, y)) == 0


def test_positive_images_change_nothing():
    labels, _, logits = object_cases.batch()
    loss = losses.NegativeLoss(object_class=2)
    changed = logits.copy()
    changed[[0, 2, 3, 4]] += np.random.default_rng(1).normal(size=(4, *logits.shape[1:]))
    assert float(loss(labels, changed)) == pytest.approx(float(loss(labels, logits)))
    without = [1, 5]
    assert float(loss(labels[without], logits[without])) == pytest.approx(float(loss(labels, logits)))
