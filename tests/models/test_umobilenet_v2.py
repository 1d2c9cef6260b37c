"""The U-Net of single-class segmentation, whole: deployed, exported, on JAX."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.models import UMobileNetV2, WeaklySupervisedModel, at_working_size


def test_object_and_background_on_mobilenet():
    model = UMobileNetV2(filters=(8, 8, 6, 6, 4), frozen=True, value_range=(0, 1))
    assert model.output.shape == (None, None, None, 2) and model.name == "umobilenetv2"
    (encoder,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    assert encoder.name.startswith("mobilenetv2") and not encoder.trainable
    assert model.get_layer("standardize").value_range == (0, 1)


def test_the_encoder_is_not_a_choice():
    with pytest.raises(TypeError, match="backbone"):
        UMobileNetV2(backbone="ResNet50")


def test_a_step_on_jax_is_that_of_tensorflow(tmp_path, make_pictures):
    """With a working size and a frozen encoder; one compiled step, since each compiles for long."""
    keras.utils.set_random_seed(0)
    segmenter = UMobileNetV2(filters=(8, 8, 6, 6, 4), frozen=True)
    model = WeaklySupervisedModel(at_working_size(segmenter, 32))
    model.segmenter.save(tmp_path / "model.keras")
    np.save(tmp_path / "pictures.npy", make_pictures())
    code = f"""
import keras, numpy as np
from keras_wsseg import losses, models
pictures = np.load(r"{tmp_path}/pictures.npy")
model = models.WeaklySupervisedModel(keras.saving.load_model(r"{tmp_path}/model.keras"))
model.compile(keras.optimizers.SGD(1e-2), losses.PartialCrossEntropy())
labels = (pictures[..., 0] > 128).astype("int32")
before = model.segmenter.get_weights()
loss = model.fit(pictures, labels, verbose=0).history["loss"]
moved = [np.abs(new - old).max() for old, new in zip(before, model.segmenter.get_weights())]
np.savez(r"{tmp_path}/step.npz", loss=loss, moved=moved)
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    step = np.load(tmp_path / "step.npz")

    model.compile(keras.optimizers.SGD(1e-2), losses.PartialCrossEntropy(), run_eagerly=True)
    pictures = make_pictures()
    before = model.segmenter.get_weights()
    loss = model.fit(pictures, (pictures[..., 0] > 128).astype("int32"), verbose=0).history["loss"]
    moved = [np.abs(new - old).max() for old, new in zip(before, model.segmenter.get_weights(), strict=True)]
    np.testing.assert_allclose(step["loss"], loss, rtol=1e-4)
    np.testing.assert_allclose(step["moved"], moved, rtol=0.02, atol=1e-5)
    (encoder,) = [layer for layer in segmenter.layers if isinstance(layer, keras.Model)]
    frozen = {id(weight) for weight in encoder.weights}
    assert len(frozen) > 200
    for weight, difference in zip(segmenter.weights, step["moved"], strict=True):
        if id(weight) in frozen:
            assert difference == 0, weight.path
        elif weight.name in ("kernel", "moving_mean"):
            assert difference > 0, weight.path
