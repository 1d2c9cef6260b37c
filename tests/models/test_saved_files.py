"""A training saved on TensorFlow, in a file that is kept: every backend and every later version reads it.

`PYTHONPATH=tests python tests/models/test_saved_files.py` writes it anew.
"""

import pathlib
import zipfile

import keras
import numpy as np
import pytest
import ways

from keras_wsseg import layers, losses, metrics
from keras_wsseg.models import WeaklySupervisedModel
from keras_wsseg.optimizers import LearningRateMultipliers

FILE = pathlib.Path(__file__).with_name("saved_on_tensorflow.keras")
# Of the next step, as found on TensorFlow when it was saved.
SCORES = {
    "loss": 1.3467431,
    "partial_cross_entropy": 0.7418964,
    "gated_crf": 1.2096934,
    "mean_iou": 0.3907589,
}


def example():
    images = np.random.default_rng(0).uniform(0, 255, (2, 9, 7, 3)).astype("float32")
    return images, (images[..., 0] > 128).astype("int32")


def trained():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = layers.Standardize((0, 255))(image)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(2, 1, name="logits")(x)
    model = WeaklySupervisedModel(keras.Model(image, layers.ResizeLike()(x, image)))
    optimizer = LearningRateMultipliers(keras.optimizers.SGD(1e-3, momentum=0.9), {"logits": 0.5})
    kernel = losses.GaussianKernel(sigma_xy=3.0, sigma_rgb=0.5)
    loss = losses.PartialCrossEntropy() + losses.GatedCRFLoss(0.5, radius=1, kernels=kernel, resolution=1.0)
    model.compile(optimizer, loss, metrics=[metrics.MeanIoU(2)])
    model.fit(*example(), epochs=2, verbose=0)
    return model


@pytest.mark.any_backend
def test_a_training_saved_on_tensorflow_goes_on_alike():
    model = keras.saving.load_model(FILE)
    # The file has it that nothing is compiled by XLA, which on TensorFlow leaves a graph and on JAX nothing.
    model.jit_compile = ways.ON_JAX
    assert model.optimizer.multipliers == {"logits": 0.5} and int(model.optimizer.iterations) == 2
    history = model.fit(*example(), epochs=3, verbose=0).history
    assert {name: values[0] for name, values in history.items()} == pytest.approx(SCORES, rel=1e-4)
    assert history["loss"][-1] < history["loss"][0]


if __name__ == "__main__":
    model = trained()
    model.save(FILE)
    with zipfile.ZipFile(FILE) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    print(model.fit(*example(), verbose=0).history)
