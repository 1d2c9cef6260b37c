import numpy as np
import oracles
import tensorflow as tf
from dense_cases import affinities, batch

from keras_wsseg import losses, targets


def by_hand(labels, guide, logits, xy, rgb):
    y = oracles.softmax(logits.astype("float64"))
    parts = zip(y, affinities(labels, guide, xy, rgb), strict=True)
    return np.mean([oracles.normalized_cut(s[kept], w) for s, (w, kept) in parts])


def test_value_is_the_mean_ratio_of_the_images():
    labels, guide, logits = batch()
    loss = losses.NormalizedCutLoss(weight=0.5, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    want = 0.5 * by_hand(labels, guide, logits, 3, 0.4)
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), logits)), want, rtol=1e-5)


def test_gradient_by_finite_differences():
    labels, guide, logits = batch((4, 3))
    loss = losses.NormalizedCutLoss(weight=1.0, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(targets.pack(labels, guide), x)
    want = oracles.numeric_gradient(lambda z: by_hand(labels, guide, z, 3, 0.4), logits.astype("float64"))
    np.testing.assert_allclose(tape.gradient(value, x), want, rtol=1e-3, atol=1e-6)


def test_an_absent_class_is_harmless():
    labels, guide, logits = batch()
    logits[..., 2] = -1e4
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = losses.NormalizedCutLoss()(targets.pack(labels, guide), x)
    assert np.isfinite(value) and np.isfinite(tape.gradient(value, x)).all()
