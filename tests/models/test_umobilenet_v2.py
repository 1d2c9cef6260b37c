"""The U-Net of single-class segmentation, whole: deployed, trained."""

import keras
import numpy as np
import pytest
import ways

from keras_wsseg import losses
from keras_wsseg.models import UMobileNetV2, WeaklySupervisedModel, with_input_size


def test_object_and_background_on_mobilenet():
    model = UMobileNetV2(filters=(8, 8, 6, 6, 4), frozen=True, value_range=(0, 1))
    assert model.output.shape == (None, None, None, 2) and model.name == "umobilenetv2"
    (encoder,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    assert encoder.name.startswith("mobilenetv2") and not encoder.trainable
    assert model.get_layer("standardize").value_range == (0, 1)


def test_the_encoder_is_not_a_choice():
    with pytest.raises(TypeError, match="backbone"):
        UMobileNetV2(backbone="ResNet50")


# Of the step below, as found eagerly on TensorFlow: the loss, and how far each weight moved at most.
LOSS, MOVED = 0.8355408, [0.7004319, -0.003104963, -0.02766235, -0.008392986]


@pytest.mark.any_backend
def test_a_step_moves_what_is_not_frozen(make_images, randomize):
    """With a working size and a frozen encoder; one compiled step, since each compiles for long."""
    segmenter = randomize(UMobileNetV2(filters=(8, 8, 6, 6, 4), frozen=True))
    model = WeaklySupervisedModel(with_input_size(segmenter, 32))
    model.compile(keras.optimizers.SGD(1e-2), losses.PartialCrossEntropy())
    images = make_images()
    before = segmenter.get_weights()
    loss = model.fit(images, (images[..., 0] > 128).astype("int32"), verbose=0).history["loss"]
    moved = [np.abs(new - old).max() for old, new in zip(before, segmenter.get_weights(), strict=True)]
    np.testing.assert_allclose(loss, LOSS, rtol=1e-4)
    np.testing.assert_allclose(ways.fingerprint(moved), MOVED, atol=1e-3 * MOVED[0])
    (encoder,) = [layer for layer in segmenter.layers if isinstance(layer, keras.Model)]
    frozen = {id(weight) for weight in encoder.weights}
    assert len(frozen) > 200
    for weight, difference in zip(segmenter.weights, moved, strict=True):
        if id(weight) in frozen:
            assert difference == 0, weight.path
        elif weight.name in ("kernel", "moving_mean"):
            assert difference > 0, weight.path
