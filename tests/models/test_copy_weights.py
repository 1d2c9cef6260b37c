"""A segmenter that starts where another has come to."""

import keras
import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.layers import MeanFieldCRF
from keras_wsseg.models import EncoderUNet, UNet, WeaklySupervisedModel, copy_weights, with_input_size

SMALL = {"filters": (4, 6)}


@pytest.fixture
def trained(randomize):
    return randomize(UNet(3, **SMALL))


def assert_same(ours, theirs):
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_the_target_predicts_what_the_source_did(trained, make_images):
    target = UNet(3, **SMALL, dropout=0.5, weight_decay=1e-3, name="other")
    copy_weights(trained, target)
    np.testing.assert_array_equal(target(make_images()), trained(make_images()))
    target.weights[0].assign(target.weights[0] * 0)
    assert np.abs(trained.weights[0].numpy()).max() > 0


def test_wrapped_in_an_input_size_and_a_training_model(trained):
    source = WeaklySupervisedModel(with_input_size(trained, 16))
    source.compile("adam", losses.PartialCrossEntropy() + losses.GatedCRFLoss(radius=1))
    target = WeaklySupervisedModel(with_input_size(UNet(3, **SMALL), (32, 24)))
    copy_weights(source, target)
    assert_same(target.segmenter.weights, trained.weights)
    bare = UNet(3, **SMALL)
    copy_weights(target, bare)
    assert_same(bare.weights, trained.weights)


def test_whether_the_encoder_is_frozen_makes_no_difference(randomize, make_images):
    options = {"backbone": "resnet18", "filters": (4,) * 5}
    source = randomize(EncoderUNet(2, **options))
    target = EncoderUNet(2, **options, frozen=True)
    copy_weights(source, target)
    expected = source(make_images()).numpy()
    np.testing.assert_allclose(target(make_images()), expected, rtol=1e-5)
    assert len(target.trainable_variables) < len(source.trainable_variables)


def test_other_classes_keep_the_last_layer(trained):
    target = UNet(5, **SMALL)
    last = [weight.numpy() for weight in target.get_layer("logits").weights]
    copy_weights(trained, target, skip_logits=True)
    assert_same(target.weights[:-2], trained.weights[:-2])
    for weight, old in zip(target.get_layer("logits").weights, last, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_what_has_weights_behind_the_logits_is_left_out_with_them(randomize):
    def with_crf(classes):
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, padding="same")(image)
        logits = keras.layers.Conv2D(classes, 1)(x)
        refined = MeanFieldCRF(radius=1, compatibility="trainable")([logits, image])
        return keras.Model(image, refined)

    source, target = randomize(with_crf(2)), with_crf(3)
    assert len(target.weights) > 4
    copy_weights(source, target, skip_logits=True)
    assert_same(target.weights[:2], source.weights[:2])


@pytest.mark.parametrize(
    "target,message",
    [
        (
            lambda: UNet(2, **SMALL),
            r"`source` must have the weights of `target` \(`skip_logits=True` leaves out the last layer\). "
            r"Received: logits/kernel of shape \(1, 1, 4, 3\) for logits/kernel of shape \(1, 1, 4, 2\)",
        ),
        (
            lambda: UNet(3, filters=(4, 8)),
            r"Received: down1_0_conv/kernel of shape \(3, 3, 4, 6\) for down1_0_conv/kernel of .* 8\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, use_bias=False)]),
            r"Received: down0_0_bn/gamma of shape \(4,\) for nothing",
        ),
    ],
)
def test_the_first_weight_that_does_not_fit_is_named(trained, target, message):
    target = target()
    before = [weight.numpy() for weight in target.weights]
    with pytest.raises(ValueError, match=message):
        copy_weights(trained, target)
    for weight, old in zip(target.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_bad_models_say_so(trained):
    with pytest.raises(TypeError, match="`source` must be a keras.Model. Received: source='run'"):
        copy_weights("run", trained)
    with pytest.raises(TypeError, match="`target` must be a keras.Model. Received: target=None"):
        copy_weights(trained, None)
    empty = keras.Sequential(name="empty")
    with pytest.raises(ValueError, match="`target` must be built and have weights. Received: target='empty'"):
        copy_weights(trained, empty)
