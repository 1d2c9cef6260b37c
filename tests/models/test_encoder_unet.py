"""EncoderUNet as any segmenter, its choice of encoders, and what freezing one means."""

import functools

import keras
import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.models import EncoderUNet, WeaklySupervisedModel, encoder_unet

SMALL = {"num_classes": 3, "filters": (8, 8, 6, 6, 4)}


def encoder_of(model):
    """The one model inside the model."""
    (encoder,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return encoder


def normalizations(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """A network of keras.applications with weights of its own, standing in for published ones."""
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3))
    generator = np.random.default_rng(3)
    for variable in network.weights:
        scale = 1 / np.sqrt(max(np.prod(variable.shape[:-1]), 1))
        value = generator.normal(0, scale if len(variable.shape) > 1 else 0.1, variable.shape)
        variable.assign(np.abs(1 + value) if variable.name in ("gamma", "moving_variance") else value)
    path = tmp_path_factory.mktemp("weights") / "network.weights.h5"
    network.save_weights(path)
    return path


@pytest.fixture
def pretrained(weights_file):
    return EncoderUNet(**SMALL, weights=weights_file, weight_decay=1e-3)


@pytest.mark.usefixtures("narrow_encoders")
def test_any_size_in_logits_out_and_saves(check_sizes, check_saves):
    model = EncoderUNet(**SMALL, dropout=0.2, value_range=(-5, 300))
    check_sizes(model)
    check_saves(model)


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("output_stride", [2, 4])
def test_coarser_logits(check_sizes, output_stride):
    model = EncoderUNet(**SMALL, backbone="resnet18", output_stride=output_stride)
    check_sizes(model, output_stride)
    names = [layer.name for layer in model.layers]
    assert f"up{output_stride}_concat" in names and f"up{output_stride // 2}_concat" not in names


@pytest.mark.usefixtures("narrow_encoders")
def test_learns(check_learns):
    check_learns(EncoderUNet(**SMALL, backbone="resnet18", dropout=0.1), run_eagerly=True)


def test_levels_join_the_features_of_their_stride():
    model = EncoderUNet(2)
    joined = [model.get_layer(f"up{stride}_concat").output.shape[-1] for stride in (16, 8, 4, 2, 1)]
    assert joined == [256 + 576, 128 + 192, 64 + 144, 32 + 96, 16 + 3]
    assert model.get_layer("up1_1_conv").filters == 16


@pytest.mark.parametrize("backbone", ["ResNet50", "ConvNeXtTiny"])
def test_other_encoders(backbone, make_images):
    model = EncoderUNet(**SMALL, backbone=backbone)
    logits = model(make_images(batch=1)).numpy()
    assert logits.shape == (1, 33, 41, 3) and np.isfinite(logits).all()


def test_the_way_up_begins_below_the_deepest_features(make_images, monkeypatch):
    """ResNet-38 dilates from stride 8 on: there is nothing to go up from at 16."""
    monkeypatch.setattr(encoder_unet, "encode", functools.partial(encoder_unet.encode, width=4))
    model = EncoderUNet(**SMALL, backbone="resnet38")
    levels = {layer.name.split("_")[0] for layer in model.layers if layer.name.startswith("up")}
    assert levels == {"up4", "up2", "up1"}
    assert model(make_images(19, 25)).shape[1:3] == (19, 25)


def test_the_image_stands_in_where_the_encoder_has_no_features(make_images):
    model = EncoderUNet(**SMALL, backbone="ConvNeXtTiny", output_stride=2, value_range=(0, 255))
    tap = keras.Model(model.input, model.get_layer("up2_concat").output)
    images = make_images(34, 40)
    means = (images / 127.5 - 1).reshape(2, 17, 2, 20, 2, 3).mean((2, 4))
    np.testing.assert_allclose(tap(images)[..., -3:], means, atol=1e-5)


def test_gray_images_see_the_encoder_in_color(make_images):
    model = EncoderUNet(**SMALL, backbone="resnet18", channels=1)
    assert encoder_of(model).input.shape[-1] == 3
    assert model.predict(make_images(channels=1), verbose=0).shape == (2, 33, 41, 3)
    assert encoder_of(EncoderUNet(**SMALL, backbone="resnet18", channels=5)).input.shape[-1] == 5


@pytest.mark.parametrize("backbone", ("MobileNetV2", "EfficientNetV2B0"))
def test_gray_images_are_repeated_for_encoders_of_any_preprocessing(backbone, make_images):
    model = EncoderUNet(**SMALL, backbone=backbone, channels=1)
    assert model.predict(make_images(channels=1), verbose=0).shape == (2, 33, 41, 3)


@pytest.mark.usefixtures("narrow_encoders")
def test_half_precision_gives_full_logits(mixed_float16, make_images):
    model = EncoderUNet(**SMALL, backbone="resnet18", value_range=(0, 65535))
    logits = model.predict(make_images() * 257, verbose=0)
    assert model.get_layer("up1_0_conv").compute_dtype == "float16"
    assert logits.dtype == np.float32 and np.isfinite(logits).all()


def test_weight_decay_is_coupled_in_every_kernel(check_weight_decay):
    check_weight_decay(EncoderUNet(**SMALL, backbone="resnet18", weight_decay=0.25), 0.25)


def test_given_weights_arrive_and_stay_frozen_through_a_file(pretrained, weights_file, make_images, tmp_path):
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3))
    network.load_weights(weights_file)
    expected = {weight.path: weight.numpy() for weight in network.weights}
    pretrained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    rebuilt = keras.Model.from_config(pretrained.get_config())
    labels = np.zeros((2, 33, 41), "int32")
    for model in (pretrained, loaded, rebuilt):
        trained = {id(variable) for variable in model.trainable_variables}
        assert not trained & {id(variable) for variable in encoder_of(model).variables}
        assert len(trained) == len(EncoderUNet(**SMALL, frozen=True).trainable_variables) > 0
    before = [weight.numpy() for weight in encoder_of(loaded).weights]
    for weight, old in zip(encoder_of(loaded).weights, before, strict=True):
        np.testing.assert_array_equal(old, expected[weight.path])
    wrapped = WeaklySupervisedModel(loaded)
    wrapped.compile(keras.optimizers.Adam(1e-2), losses.PartialCrossEntropy(), run_eagerly=True)
    history = wrapped.fit(make_images(), labels, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for weight, old in zip(encoder_of(loaded).weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_frozen_normalization_infers_in_training(pretrained, make_images):
    encoder = encoder_of(pretrained)
    image = make_images(32, 64) / 127.5 - 1
    for training, inferring in zip(encoder(image, training=True), encoder(image), strict=True):
        np.testing.assert_array_equal(training, inferring)
    encoder.trainable = True
    assert np.abs(encoder(image, training=True)[-1] - encoder(image)[-1]).max() > 0.01


def test_freezing_is_a_choice(weights_file):
    assert encoder_of(EncoderUNet(**SMALL, weights=weights_file, frozen=False)).trainable_variables
    assert encoder_of(EncoderUNet(**SMALL, backbone="resnet18")).trainable_variables
    frozen = EncoderUNet(**SMALL, backbone="resnet18", frozen=True, weight_decay=0.1)
    assert not encoder_of(frozen).trainable_variables
    # Two convolutions and a reduction at each of five levels, and the logits.
    assert len(frozen.losses) == 3 * 5 + 1


def test_moving_averages_follow_within_few_steps_from_scratch(make_images, tmp_path):
    model = EncoderUNet(**SMALL)
    model.save(tmp_path / "model.keras")
    loaded = encoder_of(keras.saving.load_model(tmp_path / "model.keras"))
    assert len(normalizations(loaded)) > 50
    assert {layer.momentum for layer in normalizations(loaded)} == {0.9}
    image = make_images(32, 64) / 127.5 - 1
    first = keras.Model(loaded.input, loaded.get_layer("Conv1").output)
    loaded(image, training=True)
    np.testing.assert_allclose(
        loaded.get_layer("bn_Conv1").moving_mean, 0.1 * first(image).numpy().mean((0, 1, 2)), atol=1e-5
    )


def test_momentum_is_the_networks_own_with_weights_unless_given(pretrained, weights_file):
    assert {layer.momentum for layer in normalizations(encoder_of(pretrained))} == {0.999}
    model = EncoderUNet(**SMALL, weights=weights_file, frozen=False, encoder_momentum=0.5)
    assert {layer.momentum for layer in normalizations(encoder_of(model))} == {0.5}


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({"num_classes": 0}, ValueError, "Received: num_classes=0"),
        ({"filters": (8, 8)}, ValueError, r"`filters` must be five numbers, .* Received: filters=\(8, 8\)"),
        ({"filters": (8, 8, 0, 8, 8)}, ValueError, "`filters` must be an integer .* Received: filters=0"),
        ({"output_stride": 3}, ValueError, "must be one of 1, 2, 4, 8, 16. Received: output_stride=3"),
        (
            {"dropout": 1},
            ValueError,
            r"`dropout` must be a number of at least 0 and below 1. Received: dropout=1",
        ),
        ({"weight_decay": -1}, ValueError, "Received: weight_decay=-1"),
        (
            {"encoder_momentum": 1.0},
            ValueError,
            r"must be a number of at least 0 and below 1. Received: encoder_momentum=1.0",
        ),
        ({"backbone": "Xception"}, ValueError, "`backbone` must be .* Received: backbone='Xception'"),
        ({"weights": "none.h5"}, FileNotFoundError, "`weights` must be None, 'imagenet' or .*none.h5"),
        ({"weights": "none.h5", "channels": 2}, ValueError, "Received: channels=2"),
    ],
)
def test_bad_arguments_say_so(arguments, error, message):
    with pytest.raises(error, match=message):
        EncoderUNet(**{**SMALL, **arguments})
