"""DeepLabV3Plus as any segmenter, and its choice of backbones."""

import numpy as np
import pytest

from keras_wsseg.models import DeepLabV3Plus

SMALL = {"num_classes": 3, "backbone": "resnet18", "filters": 8, "low_level_filters": 4}


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("output_stride", [1, 4])
def test_any_size_in_logits_out(check_sizes, output_stride):
    check_sizes(DeepLabV3Plus(**SMALL, output_stride=output_stride), output_stride)


@pytest.mark.usefixtures("narrow_encoders")
def test_saves(check_saves):
    check_saves(DeepLabV3Plus(**SMALL, dropout=0.2, weight_decay=1e-4))


@pytest.mark.usefixtures("narrow_encoders")
def test_learns(check_learns):
    check_learns(DeepLabV3Plus(**SMALL, output_stride=4), stride=4, run_eagerly=True)


@pytest.mark.any_backend
def test_logits(check_logits):
    check_logits(DeepLabV3Plus(**SMALL), [70.18709, 0.5704709, 0.4542802, 0.02355045])


@pytest.mark.usefixtures("narrow_encoders")
def test_half_precision_gives_full_logits(mixed_float16, make_images):
    model = DeepLabV3Plus(**SMALL, value_range=(0, 65535))
    logits = model.predict(make_images() * 257, verbose=0)
    assert model.get_layer("aspp_0_conv").compute_dtype == "float16"
    assert logits.dtype == np.float32 and np.isfinite(logits).all()


@pytest.mark.usefixtures("narrow_encoders")
def test_weight_decay_is_coupled_in_every_kernel(check_weight_decay):
    check_weight_decay(DeepLabV3Plus(**SMALL, weight_decay=0.25), 0.25)


def test_the_published_architecture():
    model = DeepLabV3Plus(21)
    rates = [model.get_layer(f"aspp_{i}_conv").dilation_rate[0] for i in (1, 2, 3)]
    assert rates == [6, 12, 18]
    low, high = model.get_layer("resnet34").compute_output_shape((1, 128, 128, 3))
    assert low == (1, 32, 32, 64) and high == (1, 8, 8, 512)
    # Glorot's limit for the pyramid's 3x3 kernels: sqrt(6 / (9 * (512 + 256))).
    kernel = np.abs(model.get_layer("aspp_1_conv").kernel.numpy())
    limit = np.float32(np.sqrt(6 / 6912))
    assert 0.98 * limit < kernel.max() <= limit


@pytest.fixture
def on_mobilenet():
    return DeepLabV3Plus(3, backbone="mobilenet_v2", filters=8, low_level_filters=4, output_stride=4)


@pytest.mark.usefixtures("narrow_encoders")
def test_an_application_as_backbone(on_mobilenet, check_sizes, check_saves):
    check_sizes(on_mobilenet, output_stride=4)
    check_saves(on_mobilenet)


@pytest.mark.usefixtures("narrow_encoders")
def test_an_application_learns(on_mobilenet, check_learns):
    check_learns(on_mobilenet, stride=4, run_eagerly=True)


@pytest.mark.usefixtures("narrow_encoders")
def test_an_application_exports_from_its_features_on(check_exports):
    """MobileNetV2 cut at stride 8: its padding and cropping are there, most of its layers are not."""
    check_exports(
        DeepLabV3Plus(
            3, backbone="mobilenet_v2", encoder_stride=8, atrous_rates=(2,), filters=8, low_level_filters=4
        )
    )


@pytest.mark.usefixtures("narrow_encoders")
def test_gray_images_are_those_of_three_equal_channels(make_images, randomize):
    gray = randomize(DeepLabV3Plus(**SMALL, channels=1))
    color = DeepLabV3Plus(**SMALL)
    color.set_weights(gray.get_weights())
    images = make_images(channels=1)
    np.testing.assert_allclose(
        gray.predict(images, verbose=0),
        color.predict(np.repeat(images, 3, axis=-1), verbose=0),
        atol=1e-4,
    )


def test_other_channels(make_images):
    model = DeepLabV3Plus(**SMALL, channels=5)
    assert model.get_layer("resnet18").input.shape[-1] == 5
    assert model.predict(make_images(channels=5), verbose=0).shape == (2, 33, 41, 3)


def test_weights_of_a_local_file(tmp_path, randomize):
    first = DeepLabV3Plus(**SMALL)
    randomize(first.get_layer("resnet18")).save_weights(tmp_path / "encoder.weights.h5")
    second = DeepLabV3Plus(**SMALL, weights=tmp_path / "encoder.weights.h5")
    for ours, theirs in zip(
        second.get_layer("resnet18").weights, first.get_layer("resnet18").weights, strict=True
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({"output_stride": 2}, ValueError, "`output_stride` must be one of 1, 4. Received: output_stride=2"),
        ({"encoder_stride": 4}, ValueError, "`encoder_stride` must be one of 8, 16, 32. .*encoder_stride=4"),
        ({"backbone": "resnet99"}, ValueError, "`backbone` must be .* Received: backbone='resnet99'"),
        ({"backbone": "Xception"}, ValueError, "`backbone` must be .* Received: backbone='Xception'"),
        ({"atrous_rates": (6, 0)}, ValueError, "`atrous_rates` must be .* Received: atrous_rates=0"),
        ({"num_classes": 0}, ValueError, "Received: num_classes=0"),
        ({"dropout": -0.1}, ValueError, "Received: dropout=-0.1"),
        ({"weight_decay": -1e-4}, ValueError, "Received: weight_decay=-0.0001"),
        ({"weights": "imagenet"}, ValueError, "`weights` of resnet18 must be None or .* weights='imagenet'"),
        ({"weights": "none.npz"}, FileNotFoundError, "path of an existing file. Received: weights='none"),
        ({"weights": "none.npz", "channels": 2}, ValueError, "1 or 3 .* Received: channels=2"),
        (
            {"backbone": "VGG16", "weights": "none.h5"},
            FileNotFoundError,
            "`weights` must be None, 'imagenet' or .* Received: weights='none.h5'",
        ),
    ],
)
def test_bad_arguments_say_so(arguments, error, message):
    with pytest.raises(error, match=message):
        DeepLabV3Plus(**{**SMALL, **arguments})
