"""The counterpart of a pooling."""

import keras
import numpy as np
import pytest

from keras_wsseg.layers import UpsampleLike


def test_each_pixel_gets_the_cell_it_was_pooled_into(tmp_path):
    inputs = keras.Input((None, None, 2))
    pooled = keras.layers.MaxPooling2D(3, padding="valid")(
        keras.layers.ZeroPadding2D(((0, 2), (0, 2)))(inputs)
    )
    model = keras.Model(inputs, UpsampleLike(3)(pooled, inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for height, width in [(7, 5), (6, 9), (1, 2)]:
        images = np.random.default_rng(0).uniform(1, 2, (1, height, width, 2)).astype("float32")
        result = model.predict(images, verbose=0)
        for y in range(height):
            for x in range(width):
                cell = images[0, y // 3 * 3 : y // 3 * 3 + 3, x // 3 * 3 : x // 3 * 3 + 3]
                np.testing.assert_array_equal(result[0, y, x], cell.max((0, 1)))
        np.testing.assert_array_equal(loaded(images), result)


def test_config():
    layer = UpsampleLike(3, name="up")
    assert UpsampleLike.from_config(layer.get_config()).get_config() == layer.get_config()


def test_bad_arguments_say_so():
    for factor in (0, 1.5):
        with pytest.raises(ValueError, match=f"`factor` must be an integer.* Received: factor={factor}"):
            UpsampleLike(factor)
    with pytest.raises(ValueError, match=r"`reference` must not be larger than 2 times .*\(1, 5, 4, 1\)"):
        UpsampleLike()(keras.Input((2, 2, 3), batch_size=1), keras.Input((5, 4, 1), batch_size=1))
