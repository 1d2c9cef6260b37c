"""Bilinear resizing to a reference."""

import keras
import numpy as np
import tensorflow as tf

from keras_wsseg.layers import ResizeLike


def test_as_tensorflow_resizes_inside_a_saved_model_of_any_size(tmp_path):
    small, large = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    resized = ResizeLike(name="resize")(small, large)
    assert resized.shape == (None, None, None, 3)
    model = keras.Model([small, large], resized)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    generator = np.random.default_rng(0)
    for old, new in [((3, 5), (12, 17)), ((9, 4), (2, 6))]:
        images = generator.normal(size=(2, *old, 3)).astype("float32")
        reference = np.zeros((2, *new, 1), "float32")
        expected = tf.image.resize(images, new)
        np.testing.assert_allclose(model.predict([images, reference], verbose=0), expected, atol=1e-5)
        np.testing.assert_allclose(loaded([images, reference]), expected, atol=1e-5)


def test_config():
    layer = ResizeLike(dtype="float32", name="logits")
    assert ResizeLike.from_config(layer.get_config()).get_config() == layer.get_config()
