import os
import subprocess
import sys

JAX_SCRIPT = """
import keras, numpy as np, pathlib, sys
from keras_wsseg.export import to_litert, to_saved_model
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF
keras.utils.set_random_seed(0)
image = keras.Input((None, None, 3))
x = keras.layers.Rescaling(1 / 255)(image)
x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(x)
segmenter = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
crf = MeanFieldCRF(radius=1, iterations=2, kernels=[GaussianKernel(weight=1, xy=2, rgb=0.2)])
assert keras.backend.backend() == "jax"
folder = pathlib.Path(sys.argv[1])
saved = to_saved_model(segmenter, folder / "saved", refine=crf, input="uint8")
lite = to_litert(segmenter, folder / "a.tflite", size=(13, 22))
assert max(saved.max_difference, lite.max_difference) < 1e-4

picture = np.random.default_rng(0).integers(0, 256, (1, 13, 22, 3), "uint8")
logits = keras.ops.image.resize(segmenter(picture.astype("float32")), (13, 22), interpolation="bilinear")
refined = crf([logits, picture.astype("float32")])
plain, refined = (keras.ops.convert_to_numpy(keras.ops.softmax(x)) for x in (logits, refined))
assert np.abs(plain - refined).max() > 0.01
import tensorflow as tf
found = tf.saved_model.load(str(folder / "saved")).signatures["serving_default"](image=tf.constant(picture))
np.testing.assert_allclose(found["probabilities"], refined, atol=1e-4)
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(str(folder / "a.tflite")).get_signature_runner()
np.testing.assert_allclose(run(image=picture.astype("float32"))["probabilities"], plain, atol=1e-4)
"""


def test_on_jax_saved_model_and_litert_say_what_jax_says(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tflite", "saved"]
