"""Tiny segmenters, and one of them as a file that tests of the run-time half share."""

import keras
import numpy as np
import pytest

from keras_wsseg.export import to_onnx


def build_segmenter(channels=3, classes=4, stride=4, size=(None, None), batch=None, head_dtype=None):
    """Two convolutions from [0, 255] to logits on a grid `stride` times coarser."""
    image = keras.Input((*size, channels), batch_size=batch, name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = keras.layers.Conv2D(6, 3, strides=stride, padding="same", activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    logits = keras.layers.Conv2D(classes, 3, padding="same", dtype=head_dtype)(x)
    segmenter = keras.Model(image, logits, name="tiny")
    generator = np.random.default_rng(0)
    segmenter.set_weights([generator.uniform(0.1, 1.0, w.shape) * 0.5 for w in segmenter.get_weights()])
    for layer in segmenter.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            layer.set_weights([generator.normal(0, 0.5, kernel.shape), generator.normal(0, 0.1, bias.shape)])
    return segmenter


@pytest.fixture(scope="session")
def tiny_segmenter():
    return build_segmenter


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory):
    """An RGB segmenter of 4 classes at a quarter of the resolution."""
    path = tmp_path_factory.mktemp("onnx") / "segmenter.onnx"
    to_onnx(
        build_segmenter(),
        path,
        class_names=["road", "sky", "tree", "car"],
        palette=[(10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200)],
        metadata={"method": "gated CRF"},
    )
    return path


@pytest.fixture(scope="session")
def gray_onnx_file(tmp_path_factory):
    """A gray segmenter with one logit at full resolution."""
    path = tmp_path_factory.mktemp("onnx") / "gray.onnx"
    to_onnx(build_segmenter(channels=1, classes=1, stride=1), path)
    return path
