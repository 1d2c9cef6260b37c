import numpy as np
import oracles
import pytest
import tensorflow as tf
from dense_cases import affinities, batch

from keras_wsseg import losses, targets


def by_hand(labels, guide, logits, proposed_from, xy, rgb, coupling, iterations):
    """Mean cross entropy towards the proposals over the unlabeled pixels inside."""
    y, fixed = (oracles.softmax(x.astype("float64")) for x in (logits, proposed_from))
    total = count = 0
    for s, current, one, (w, kept) in zip(y, fixed, labels, affinities(labels, guide, xy, rgb), strict=True):
        known = np.where(one[kept] < s.shape[-1], one[kept], -1)
        x = oracles.adm_proposal(current[kept], w, known, coupling, iterations)
        total -= (x * np.log(s[kept]))[known < 0].sum()
        count += (known < 0).sum()
    return total / count


def test_value_is_the_cross_entropy_towards_the_proposals():
    labels, guide, logits = batch()
    loss = losses.ADMLoss(weight=0.5, coupling=1.5, iterations=3, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    want = 0.5 * by_hand(labels, guide, logits, logits, 3, 0.4, 1.5, 3)
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), logits)), want, rtol=1e-5)


def test_no_gradient_flows_through_the_proposals():
    labels, guide, logits = batch((4, 3))
    loss = losses.ADMLoss(weight=1.0, coupling=1.5, iterations=3, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(targets.pack(labels, guide), x)
    want = oracles.numeric_gradient(
        lambda z: by_hand(labels, guide, z, logits, 3, 0.4, 1.5, 3), logits.astype("float64")
    )
    np.testing.assert_allclose(tape.gradient(value, x), want, rtol=1e-3, atol=1e-6)


def test_a_cell_is_labeled_where_one_of_its_pixels_is():
    labels = np.full((1, 4, 4), 255)
    labels[0, 0, 1], labels[0, 3, 3] = 1, 0
    known, labeled = losses.ADMLoss(resolution=0.5)._known(tf.constant(labels), 2, 2, 2)
    np.testing.assert_allclose(known[0], [[0, 1], [0, 0], [0, 0], [1, 0]], atol=1e-6)
    assert labeled[0].numpy().tolist() == [1, 0, 0, 1]


def test_fully_labeled_images_leave_nothing_to_propose():
    labels, guide, logits = batch()
    assert float(losses.ADMLoss()(targets.pack(np.zeros_like(labels), guide), logits)) == 0


@pytest.mark.parametrize("iterations", (0, 2.0, True))
def test_iterations_must_be_a_number_of_steps(iterations):
    with pytest.raises(ValueError, match="`iterations` must be an integer of at least 1. Received"):
        losses.ADMLoss(iterations=iterations)


@pytest.mark.parametrize("size", [(9, 13), (3, 7)])
def test_without_an_unlabeled_cell_nothing_is_left_of_rounding(size):
    """The shares of a cell's classes add up to 1 but for the last digit, and a ratio of such is anything."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        labels = rng.integers(0, 3, (1, *size))
        y_true = targets.pack(labels, rng.random((1, *size, 3), "float32"))
        assert (
            float(losses.ADMLoss(resolution=0.5)(y_true, rng.normal(size=(1, *size, 3)).astype("float32")))
            == 0
        )
