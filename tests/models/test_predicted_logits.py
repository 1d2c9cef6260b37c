import keras
import numpy as np
import pytest
from brought_models import ENDINGS, brought, keras_says

from keras_wsseg.models.predicted_logits import predicted_logits


@pytest.mark.parametrize("name", ENDINGS)
def test_logits_of_images_of_several_sizes(name):
    segmenter = brought(name, upsampling="bilinear")
    for height, width in ((8, 10), (12, 6), (14, 22)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype("uint8")
        found = keras.ops.softmax(predicted_logits(segmenter, image))
        alone = brought(name, upsampling="bilinear")
        np.testing.assert_allclose(found, keras_says(alone, image[None].astype("float32")), atol=1e-5)


def test_what_is_known_counts_over_what_the_layers_tell():
    net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, name="head")])
    net.layers[0].set_weights([np.zeros((1, 1, 1, 1)), np.array([0.25])])
    image = np.zeros((1, 1, 1))
    np.testing.assert_allclose(predicted_logits(net, image)[0, 0, 0], [0, 0.25])
    np.testing.assert_allclose(predicted_logits(net, image, True)[0, 0, 0], [0, -np.log(3)], rtol=1e-6)
