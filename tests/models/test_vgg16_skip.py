"""VGG16Skip as any segmenter, where its skips come from, and its encoder as what multipliers address."""

import keras
import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.models import VGG16Skip, WeaklySupervisedModel
from keras_wsseg.optimizers import LearningRateMultipliers

SMALL = {"num_classes": 3, "filters": (8, 6, 4, 4)}


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("output_stride", [1, 2, 4])
def test_any_size_in_logits_out(output_stride, check_sizes):
    model = VGG16Skip(**SMALL, output_stride=output_stride, value_range=(-5, 300))
    check_sizes(model, output_stride)
    names = [layer.name for layer in model.layers]
    assert [f"skip{stride}_conv" in names for stride in (16, 8, 4, 2)] == [True] * 3 + [output_stride < 4]


@pytest.mark.usefixtures("narrow_encoders")
def test_saves(check_saves):
    check_saves(VGG16Skip(**SMALL, dropout=0.2, weight_decay=1e-3))


@pytest.mark.usefixtures("narrow_encoders")
def test_learns(check_learns):
    check_learns(VGG16Skip(**SMALL, dropout=0.1), stride=4, run_eagerly=True)


@pytest.mark.any_backend
@pytest.mark.usefixtures("narrow_encoders")
def test_logits(check_logits):
    check_logits(VGG16Skip(**SMALL, output_stride=1), [287.5804, -3.100119, 2.110544, -0.1813349])


def test_the_architecture():
    model = VGG16Skip(21, dropout=0.5)
    encoder = model.get_layer("vgg16")
    # The convolutions of VGG16, and neither its last pool nor its dense layers.
    assert encoder.count_params() == 14_714_688
    assert encoder.layers[-1].name == "vgg16_block5_conv3"
    taps = [output._keras_history.operation.name for output in encoder.outputs]
    assert taps == ["vgg16_block3_conv3", "vgg16_block4_conv3", "vgg16_block5_conv3"]
    assert encoder.compute_output_shape((1, 64, 96, 3))[-1] == (1, 4, 6, 512)
    joined = [model.get_layer(f"up{stride}_concat").output.shape[-1] for stride in (8, 4)]
    assert joined == [256 + 128, 128 + 64]
    assert {model.get_layer(f"skip{stride}_conv").kernel_size for stride in (16, 8, 4)} == {(1, 1)}


def test_given_weights_arrive(tmp_path, make_images):
    network = keras.applications.VGG16(include_top=False, weights=None)
    network.save_weights(tmp_path / "vgg16.weights.h5")
    model = VGG16Skip(**SMALL, weights=tmp_path / "vgg16.weights.h5", channels=1)
    for ours, theirs in zip(model.get_layer("vgg16").weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    gray = make_images(32, 64, channels=1)
    color = keras.applications.vgg16.preprocess_input(np.repeat(gray, 3, axis=-1))
    tap = keras.Model(network.input, network.get_layer("block4_conv3").output)
    reduced = keras.Model(model.input, model.get_layer("skip8_conv").output)
    expected = model.get_layer("skip8_conv")(tap(color))
    np.testing.assert_allclose(reduced(gray), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.usefixtures("narrow_encoders")
def test_the_encoder_trains_at_its_own_rate_in_a_loaded_file_too(make_images, tmp_path):
    segmenter = VGG16Skip(**SMALL)
    segmenter.save(tmp_path / "model.keras")
    for model in (segmenter, keras.saving.load_model(tmp_path / "model.keras")):
        trained = WeaklySupervisedModel(model)
        multiplied = LearningRateMultipliers(keras.optimizers.SGD(0.01, momentum=0.9), {"vgg16": 0.0})
        trained.compile(multiplied, losses.PartialCrossEntropy(), run_eagerly=True)
        encoder = {id(variable) for variable in model.get_layer("vgg16").variables}
        before = {variable.path: variable.numpy() for variable in model.trainable_variables}
        trained.fit(make_images(), np.ones((2, 33, 41), "int32"), verbose=0)
        for variable in model.trainable_variables:
            moved = np.abs(variable.numpy() - before[variable.path]).max() > 0
            assert moved == (id(variable) not in encoder), variable.path


@pytest.mark.usefixtures("narrow_encoders")
def test_half_precision_gives_full_logits(mixed_float16, make_images):
    model = VGG16Skip(**SMALL, value_range=(0, 65535))
    logits = model.predict(make_images() * 257, verbose=0)
    assert model.get_layer("up4_conv").compute_dtype == "float16"
    assert logits.dtype == np.float32 and np.isfinite(logits).all()


@pytest.mark.usefixtures("narrow_encoders")
def test_weight_decay_is_coupled_in_every_kernel(check_weight_decay):
    check_weight_decay(VGG16Skip(**SMALL, weight_decay=0.25), 0.25)


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({"num_classes": 0}, ValueError, "Received: num_classes=0"),
        ({"filters": (8, 8)}, ValueError, r"`filters` must be four numbers, .* Received: filters=\(8, 8\)"),
        ({"filters": (8, 8, 0, 8)}, ValueError, "`filters` must be an integer .* Received: filters=0"),
        ({"output_stride": 8}, ValueError, "must be one of 1, 2, 4. Received: output_stride=8"),
        (
            {"dropout": 1},
            ValueError,
            r"`dropout` must be a number of at least 0 and below 1. Received: dropout=1",
        ),
        ({"weight_decay": -1}, ValueError, "Received: weight_decay=-1"),
        ({"weights": "none.h5"}, FileNotFoundError, "path of an existing file. Received: weights='none.h5'"),
        ({"weights": "none.h5", "channels": 2}, ValueError, "1 or 3 .* Received: channels=2"),
    ],
)
def test_bad_arguments_say_so(arguments, error, message):
    with pytest.raises(error, match=message):
        VGG16Skip(**{**SMALL, **arguments})
