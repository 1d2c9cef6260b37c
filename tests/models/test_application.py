"""Networks of keras.applications as encoders."""

import keras
import numpy as np
import pytest

from keras_wsseg.layers import Standardize
from keras_wsseg.models.application import application_encoder, application_name, application_preprocessing


@pytest.mark.parametrize(
    "name,low_channels,high_channels",
    [("MobileNetV2", 144, 576), ("EfficientNetB0", 144, 672), ("ConvNeXtTiny", 96, 384)],
)
def test_features_at_both_strides(name, low_channels, high_channels):
    encoder = application_encoder(name)
    low, high = encoder.compute_output_shape((2, 64, 96, 3))
    assert low == (2, 16, 24, low_channels) and high == (2, 4, 6, high_channels)
    assert not any(isinstance(layer, keras.layers.Normalization) for layer in encoder.layers)


@pytest.mark.parametrize(
    "name,channels",
    [
        ("MobileNetV2", (96, 144, 192, 576, 1280)),
        ("ResNet50", (64, 256, 512, 1024, 2048)),
        ("MobileNetV3Small", (16, 72, 96, 288, 576)),
    ],
)
def test_features_at_every_stride(name, channels):
    encoder = application_encoder(name, strides=(2, 4, 8, 16, 32))
    expected = [(1, 64 // stride, 96 // stride) for stride in (2, 4, 8, 16, 32)]
    shapes = encoder.compute_output_shape((1, 64, 96, 3))
    assert shapes == [(*size, count) for size, count in zip(expected, channels, strict=True)]


def test_what_comes_behind_the_last_stride_is_cut_off():
    encoder = application_encoder("MobileNetV2", strides=(4, 8))
    assert encoder.compute_output_shape((1, 64, 64, 3))[1] == (1, 8, 8, 192)
    assert encoder.count_params() < 100_000


@pytest.mark.parametrize(
    "name,module",
    [
        ("MobileNetV2", keras.applications.mobilenet_v2),
        ("ResNet101V2", keras.applications.resnet_v2),
        ("ResNet50", keras.applications.resnet50),
        ("VGG16", keras.applications.vgg16),
        ("DenseNet121", keras.applications.densenet),
    ],
)
def test_preprocessing_is_that_of_keras(name, module):
    images = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("float32")
    ours = Standardize(**application_preprocessing(name))(images)
    np.testing.assert_allclose(ours, module.preprocess_input(images.copy()), atol=1e-4)


@pytest.mark.parametrize("name", ["EfficientNetV2B0", "EfficientNetV2S", "ConvNeXtTiny", "MobileNetV3Small"])
def test_preprocessing_is_that_inside_the_network(name):
    images = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("float32")
    network = getattr(keras.applications, name)(include_top=False, weights=None)
    expected = images
    for layer in network.layers[1:]:
        if not isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
            break
        expected = layer(expected)
    assert np.abs(expected - images).max() > 1
    ours = Standardize(**application_preprocessing(name))(images)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_weight_decay_reaches_every_kernel_and_the_saved_file(check_weight_decay, tmp_path):
    encoder = application_encoder("MobileNetV2", weight_decay=0.25)
    check_weight_decay(encoder, 0.25)
    encoder.save(tmp_path / "encoder.keras")
    assert len(keras.saving.load_model(tmp_path / "encoder.keras").losses) == len(encoder.losses) > 30


def test_names():
    assert application_name("efficientnet-v2-b0") == "EfficientNetV2B0"
    for name in ("InceptionV3", "inception_v3", "resnet", "Model"):
        with pytest.raises(ValueError, match=f"`backbone` must be .* MobileNetV3, .*: backbone='{name}'"):
            application_name(name)


def test_bad_arguments_say_so():
    with pytest.raises(ValueError, match=r"`strides` must be one of 2, 4, 8, 16, 32. Received: strides=64"):
        application_encoder("MobileNetV2", strides=(4, 64))
    with pytest.raises(ValueError, match=r"`strides` must be one of 4, 8, 16, 32. Received: strides=2"):
        application_encoder("ConvNeXtTiny", strides=(2, 32))
    with pytest.raises(
        FileNotFoundError, match=r"`weights` must be None, 'imagenet' or .* weights='none.h5'"
    ):
        application_encoder("MobileNetV2", weights="none.h5")
