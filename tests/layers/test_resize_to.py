"""Images of any size at the size of a network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg.layers import ResizeTo


@pytest.fixture
def make_images():
    generator = np.random.default_rng(0)
    return lambda height, width: generator.uniform(0, 255, (2, height, width, 3)).astype("float32")


def test_shrinks_and_enlarges_in_a_saved_model(make_images, tmp_path):
    inputs = keras.Input((None, None, 3))
    resized = ResizeTo(12, 17)(inputs)
    assert resized.shape == (None, 12, 17, 3)
    model = keras.Model(inputs, resized)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for size in [(33, 41), (97, 131), (5, 3), (6, 50)]:
        images = make_images(*size)
        expected = tf.image.resize(images, (12, 17), antialias=True)
        np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-3)
        np.testing.assert_allclose(loaded(images), expected, atol=1e-3)


def test_same_size_is_the_image_itself(make_images):
    images = make_images(9, 7).astype("uint8")
    result = ResizeTo(9, 7)(images)
    assert result.dtype == "float32"
    np.testing.assert_array_equal(result, images)


def test_under_xla_at_a_dynamic_size(make_images):
    layer = ResizeTo(8, 8)
    run = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))], jit_compile=True)
    for size in [(20, 5), (3, 9)]:
        images = make_images(*size)
        np.testing.assert_allclose(run(images), tf.image.resize(images, (8, 8), antialias=True), atol=1e-3)


def test_exports_at_any_size(make_images, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, ResizeTo(12, 17)(inputs))
    model(make_images(20, 20))
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for size in [(33, 41), (5, 3), (6, 50)]:
        images = make_images(*size)
        (result,) = session.run(None, {session.get_inputs()[0].name: images})
        np.testing.assert_allclose(result, model(images), atol=1e-3)


def test_config():
    layer = ResizeTo(3, 5, name="input_size")
    assert ResizeTo.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "height,width,message", [(0, 3, "height=0"), (3, 1.5, "width=1.5"), (True, 3, "height=True")]
)
def test_bad_arguments_say_so(height, width, message):
    name = message.split("=")[0]
    with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1. Received: {message}"):
        ResizeTo(height, width)
