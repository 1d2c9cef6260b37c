"""UNet as any segmenter, and what is its own."""

import numpy as np
import pytest

from keras_wsseg.models import UNet

SMALL = {"num_classes": 3, "filters": (4, 6, 8)}


def test_any_size_in_logits_out(check_sizes):
    check_sizes(UNet(**SMALL))


@pytest.mark.parametrize("output_stride", [2, 4])
def test_coarser_logits(check_sizes, output_stride):
    model = UNet(**SMALL, output_stride=output_stride)
    check_sizes(model, output_stride)
    assert model.count_params() < UNet(**SMALL).count_params()


def test_one_level_and_gray_images(check_sizes):
    check_sizes(UNet(2, filters=(4,), channels=1))


def test_saves(check_saves):
    check_saves(UNet(**SMALL, dropout=0.2, weight_decay=1e-3, value_range=(-5, 300)))


@pytest.mark.any_backend
def test_learns(check_learns):
    check_learns(UNet(**SMALL), jit_compile=True)


def test_exports(check_exports):
    check_exports(UNet(**SMALL, dropout=0.2))


@pytest.mark.any_backend
def test_logits(check_logits):
    check_logits(UNet(**SMALL), [109.3481, -0.6423953, 1.748307, 0.1035318])


def test_half_precision_gives_full_logits(mixed_float16, make_images):
    model = UNet(**SMALL, value_range=(0, 65535))
    logits = model.predict(make_images() * 257, verbose=0)
    assert model.get_layer("down0_0_conv").compute_dtype == "float16"
    assert logits.dtype == np.float32 and np.isfinite(logits).all()


def test_weight_decay_is_coupled(check_weight_decay):
    check_weight_decay(UNet(**SMALL, weight_decay=0.25), 0.25)
    assert UNet(**SMALL).losses == []


def test_value_range_is_the_images_own(make_images, randomize):
    images = make_images()
    model = randomize(UNet(**SMALL))
    other = UNet(**SMALL, value_range=(-1, 1))
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(
        other.predict(images / 127.5 - 1, verbose=0), model.predict(images, verbose=0), atol=1e-4
    )


def test_dropout_acts_in_training_only(make_images):
    model = UNet(**SMALL, dropout=0.5)
    images = make_images()
    assert np.abs(model(images, training=True) - model(images, training=True)).max() > 0
    np.testing.assert_array_equal(model(images), model(images))


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"num_classes": 0}, "`num_classes` must be an integer of at least 1. Received: num_classes=0"),
        ({"filters": ()}, r"`filters` must have at least one level. Received: filters=\(\)"),
        ({"filters": (4, 2.5)}, "`filters` must be an integer of at least 1. Received: filters=2.5"),
        ({"channels": 0}, "`channels` must be .* Received: channels=0"),
        ({"output_stride": 8}, "`output_stride` must be one of 1, 2, 4. Received: output_stride=8"),
        ({"dropout": 1.0}, r"`dropout` must be a number of at least 0 and below 1. Received: dropout=1.0"),
        ({"weight_decay": -1}, "`weight_decay` must be a number of at least 0. Received: weight_decay=-1"),
        ({"value_range": (1, 1)}, r"`value_range` must be two finite numbers, .*value_range=\(1, 1\)"),
    ],
)
def test_bad_arguments_say_so(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNet(**{**SMALL, **arguments})
