"""Padding that a crop undoes."""

import keras
import numpy as np
import pytest

from keras_wsseg.layers import CropToStride, PadToMultiple


def test_zeros_below_and_to_the_right_at_any_size(tmp_path):
    inputs = keras.Input((None, None, 2))
    padded = PadToMultiple(8)(inputs)
    model = keras.Model(inputs, [padded, CropToStride(1)(padded, inputs)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for (height, width), size in [((7, 9), (8, 16)), ((16, 8), (16, 8)), ((1, 1), (8, 8))]:
        images = np.random.default_rng(0).uniform(1, 2, (1, height, width, 2)).astype("float32")
        padded, cropped = model.predict(images, verbose=0)
        assert padded.shape == (1, *size, 2) == PadToMultiple(8).compute_output_shape(images.shape)
        np.testing.assert_array_equal(padded[:, :height, :width], images)
        np.testing.assert_allclose(padded.sum(), images.sum(), rtol=1e-6)
        np.testing.assert_array_equal(cropped, images)
        np.testing.assert_array_equal(loaded(images)[0], padded)


def test_config():
    layer = PadToMultiple(3, name="pad")
    assert PadToMultiple.from_config(layer.get_config()).get_config() == layer.get_config()


def test_bad_arguments_say_so():
    for multiple in (0, 2.5):
        with pytest.raises(ValueError, match=f"`multiple` must be .* Received: multiple={multiple}"):
            PadToMultiple(multiple)
