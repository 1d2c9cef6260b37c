import keras
import numpy as np
import pytest

from keras_wsseg.models import DeepLabV3Plus, UNet, feature_extractor


@pytest.mark.parametrize("output_stride", (1, 2))
def test_it_is_the_segmenter_but_for_its_last_convolution(output_stride):
    keras.utils.set_random_seed(0)
    segmenter = UNet(3, filters=(4, 8), output_stride=output_stride)
    image = np.random.default_rng(0).uniform(0, 255, (1, 11, 9, 3)).astype("float32")
    head = segmenter.get_layer("logits")
    features = feature_extractor(segmenter)(image)
    np.testing.assert_allclose(np.array(head(features)), np.array(segmenter(image)), atol=1e-6)
    shared = {id(weight) for weight in segmenter.weights} - {id(weight) for weight in head.weights}
    assert {id(weight) for weight in feature_extractor(segmenter).weights} == shared


def test_that_of_deeplab_is_at_stride_4():
    features = feature_extractor(DeepLabV3Plus(3, backbone="resnet18", filters=8)).compute_output_shape(
        (1, 33, 41, 3)
    )
    assert tuple(features) == (1, 9, 11, 8)


def test_what_has_no_last_convolution_is_told():
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1, name="classes")])
    with pytest.raises(ValueError, match="segmenter must be .* named 'logits'. Received: Sequential"):
        feature_extractor(net)
    with pytest.raises(ValueError, match="segmenter must be .* Received: Activation with layers"):
        feature_extractor(keras.layers.Activation("relu"))
