import numpy as np
import oracles
import pytest
import tensorflow as tf
from dense_cases import affinities, batch

from keras_wsseg import losses, targets


def by_hand(labels, guide, logits, xy, rgb):
    y = oracles.softmax(logits.astype("float64"))
    parts = list(affinities(labels, guide, xy, rgb))
    energy = sum(oracles.dense_crf(s[kept], w) for s, (w, kept) in zip(y, parts, strict=True))
    return energy / sum(w.sum() for w, _ in parts)


def test_value_is_the_energy_over_the_kernel_mass_of_the_batch():
    labels, guide, logits = batch()
    loss = losses.DenseCRFLoss(weight=0.5, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    want = 0.5 * by_hand(labels, guide, logits, 3, 0.4)
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), logits)), want, rtol=1e-5)


def test_gradient_by_finite_differences():
    labels, guide, logits = batch((4, 3))
    loss = losses.DenseCRFLoss(weight=1.0, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(targets.pack(labels, guide), x)
    want = oracles.numeric_gradient(lambda z: by_hand(labels, guide, z, 3, 0.4), logits.astype("float64"))
    np.testing.assert_allclose(tape.gradient(value, x), want, rtol=1e-3, atol=1e-6)


def test_one_weight_serves_every_resolution():
    """The same scene at twice the size, widths in pixels doubled: the loss stays."""
    labels, guide, logits = batch((16, 12))
    labels = np.full_like(labels, 255)

    def twice(x):
        return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)

    small = losses.DenseCRFLoss(sigma_xy=5, resolution=1.0)(targets.pack(labels, guide), logits)
    large = losses.DenseCRFLoss(sigma_xy=10, resolution=1.0)(
        targets.pack(twice(labels), twice(guide)), twice(logits)
    )
    np.testing.assert_allclose(large, small, rtol=0.01)


@pytest.mark.parametrize("resolution", (1.0, 0.5))
def test_a_published_weight_gives_the_gradient_of_the_raw_energy(resolution):
    labels, guide, logits = batch((8, 6))
    labels = np.where(labels == 254, 255, labels)
    packed = targets.pack(labels, guide)
    loss = losses.DenseCRFLoss(sigma_rgb=0.4, sigma_xy=3, resolution=resolution)
    loss.weight = loss.published_weight(packed, published=2e-4)
    found = float(loss(packed, logits))
    cell = int(1 / resolution)
    y = oracles.softmax(logits.astype("float64"))

    def averaged(x):
        return x.reshape(2, 8 // cell, cell, 6 // cell, cell, -1).mean(axis=(2, 4))

    parts = affinities(np.full((2, 8 // cell, 6 // cell), 255), averaged(guide), 3 * resolution, 0.4)
    raw = [oracles.dense_crf(s[kept], w) for s, (w, kept) in zip(averaged(y), parts, strict=True)]
    np.testing.assert_allclose(found, 2e-4 * np.mean(raw), rtol=1e-4)
