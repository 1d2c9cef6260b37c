"""Normalization inside the model."""

import keras
import numpy as np
import pytest

from keras_wsseg.layers import IMAGENET_MEAN, IMAGENET_STD, Standardize


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3)).astype("float32")


def test_formula(images):
    ours = Standardize((0, 255), IMAGENET_MEAN, IMAGENET_STD)(images)
    expected = (images.astype("float64") / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_every_range_gives_the_same(images):
    expected = Standardize((0, 255), 0.4, 0.2)(images)
    for low, high in [(0, 1), (-1, 1), (0, 65535), (-1024, 3071)]:
        theirs = low + images.astype("float64") / 255 * (high - low)
        np.testing.assert_allclose(Standardize((low, high), 0.4, 0.2)(theirs), expected, atol=1e-5)


def test_integers_are_not_cut(images):
    eight_bit = images.astype("uint8")
    np.testing.assert_array_equal(Standardize()(eight_bit), Standardize()(eight_bit.astype("float32")))
    ends = Standardize()(np.array([[[[0], [255]]]], "uint8"))
    np.testing.assert_allclose(ends[0, 0, :, 0], [-1, 1], rtol=1e-6)


def test_gray_becomes_as_many_channels_as_there_are_constants(images):
    layer = Standardize(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    gray = images[..., :1]
    np.testing.assert_allclose(layer(gray), layer(np.repeat(gray, 3, axis=-1)))
    assert layer.compute_output_shape((None, None, None, 1)) == (None, None, None, 3)
    assert Standardize()(gray).shape == (2, 4, 5, 1)


def test_reversed_channels(images):
    arguments = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    reverse = Standardize(**arguments, reverse_channels=True)(images)
    np.testing.assert_array_equal(reverse[..., ::-1], Standardize(**arguments)(images))


def test_half_precision_holds_16_bit_images():
    image = np.array([0.0, 65535.0, 32767.5], "float32").reshape(1, 1, 3, 1)
    result = Standardize((0, 65535), dtype="mixed_float16")(image)
    assert result.dtype == "float16"
    np.testing.assert_allclose(result[0, 0, :, 0], [-1, 1, 0], atol=1e-6)


def test_saves_and_keeps_no_tensor(tmp_path, images):
    layer = Standardize((-1, 300), IMAGENET_MEAN, 0.3, reverse_channels=True)
    assert layer.weights == []
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert Standardize.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"value_range": (1, 0)}, r"`value_range` must be two finite .* Received: value_range=\(1, 0\)"),
        ({"value_range": 255}, r"`value_range` must be two finite .* Received: value_range=255"),
        ({"std": 0}, r"`std` must be positive. Received: std=0"),
        (
            {"mean": (0.1, 0.2), "std": (1, 1, 1)},
            r"the same number of values. Received: mean=\(0.1, 0.2\)",
        ),
    ],
)
def test_bad_arguments_say_so(arguments, message):
    with pytest.raises(ValueError, match=message):
        Standardize(**arguments)


def test_channels_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"`inputs` must have 1 channel or .*, 3. Received: shape=\(1, 2, 2, 2\)"
    ):
        Standardize(mean=IMAGENET_MEAN)(np.zeros((1, 2, 2, 2)))
