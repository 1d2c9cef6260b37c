"""Checks and decay that the segmenters share."""

import keras
import numpy as np
import pytest

from keras_wsseg.models.blocks import check_at_least, check_one_of, coupled_l2


def test_coupled_decay_acts_before_the_momentum():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_regularizer=coupled_l2(0.1))])
    model.layers[0].kernel.assign([[2.0]])
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    for _ in range(2):
        model.train_on_batch(np.zeros((1, 1)), np.zeros((1, 1)))
    # By hand: v = 0.9 v - 0.5 * 0.1 w; w = w + v.
    weight, velocity = 2.0, 0.0
    for _ in range(2):
        velocity = 0.9 * velocity - 0.05 * weight
        weight += velocity
    np.testing.assert_allclose(model.layers[0].kernel.numpy(), [[weight]], rtol=1e-6)


def test_no_decay_is_no_penalty():
    assert coupled_l2(0.0) is None
    with pytest.raises(
        ValueError, match=r"`weight_decay` must be a number of at least 0. Received: weight_decay=-0.5"
    ):
        coupled_l2(-0.5)


def test_checks():
    check_at_least(1, filters=1)
    check_one_of((1, 4), output_stride=4)
    with pytest.raises(ValueError, match=r"`filters` must be an integer of at least 2. Received: filters=1"):
        check_at_least(2, filters=1)
    with pytest.raises(ValueError, match="Received: filters=True"):
        check_at_least(1, filters=True)
    with pytest.raises(ValueError, match=r"`output_stride` must be one of 1, 4. Received: output_stride=3"):
        check_one_of((1, 4), output_stride=3)
