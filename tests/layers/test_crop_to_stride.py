"""The cut to the features of the image itself."""

import numpy as np
import pytest

from keras_wsseg.layers import CropToStride


@pytest.mark.parametrize("height,width", [(33, 41), (32, 1), (31, 64)])
def test_keeps_the_features_whose_cell_touches_the_image(height, width):
    features = np.arange(16 * 16, dtype="float32").reshape(1, 16, 16, 1)
    layer = CropToStride(4)
    reference = np.zeros((1, height, width, 3), "float32")
    result = layer(features, reference)
    touches = [[4 * y < height and 4 * x < width for x in range(16)] for y in range(16)]
    np.testing.assert_array_equal(np.ravel(result), features[0, :, :, 0][np.array(touches)])
    assert layer.compute_output_shape(features.shape, reference.shape) == result.shape


def test_config():
    layer = CropToStride(3, name="crop")
    assert CropToStride.from_config(layer.get_config()).get_config() == layer.get_config()


def test_bad_arguments_say_so():
    for stride in (0, 2.5):
        with pytest.raises(ValueError, match=f"`stride` must be .* Received: stride={stride}"):
            CropToStride(stride)
