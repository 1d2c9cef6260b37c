import keras
import numpy as np
import pytest

from keras_wsseg.export import to_litert, to_saved_model
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF


@pytest.mark.any_backend
def test_saved_model_and_litert_say_what_keras_says(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    crf = MeanFieldCRF(radius=1, iterations=2, kernels=[GaussianKernel(weight=1, sigma_xy=2, sigma_rgb=0.2)])
    saved = to_saved_model(segmenter, tmp_path / "saved", crf=crf, input_dtype="uint8")
    lite = to_litert(segmenter, tmp_path / "a.tflite", size=(13, 22))
    assert max(saved.max_difference, lite.max_difference) < 1e-4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tflite", "saved"]

    array = np.random.default_rng(0).integers(0, 256, (1, 13, 22, 3), "uint8")
    logits = segmenter(array.astype("float32"))
    logits = keras.ops.image.resize(logits, (13, 22), interpolation="bilinear")
    refined = crf([logits, array.astype("float32")])
    plain, refined = (keras.ops.convert_to_numpy(keras.ops.softmax(x)) for x in (logits, refined))
    assert np.abs(plain - refined).max() > 0.01
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    found = served(image=tf.constant(array))["probabilities"]
    np.testing.assert_allclose(found, refined, atol=1e-4)
    run = Interpreter(str(tmp_path / "a.tflite")).get_signature_runner()
    np.testing.assert_allclose(run(image=array.astype("float32"))["probabilities"], plain, atol=1e-4)
