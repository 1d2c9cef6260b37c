import keras
import numpy as np
import onnx
import pytest

from keras_wsseg.export import OnnxSegmenter, to_onnx
from keras_wsseg.export.native_dilation import native_dilation


def dilated(padding, rate, side):
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(6, side, dilation_rate=rate, padding=padding, activation="relu")(x)
    inner = keras.Sequential([keras.Input((None, None, 6)), keras.layers.Conv2D(4, 1)])
    return keras.Model(image, inner(x))


@pytest.mark.parametrize("padding,rate,side", [("same", 3, 3), ("same", (2, 5), (3, 2)), ("valid", 2, 3)])
def test_a_dilated_convolution_is_one_operation(tmp_path, padding, rate, side):
    keras.utils.set_random_seed(0)
    segmenter = dilated(padding, rate, side)
    to_onnx(segmenter, tmp_path / "a.onnx")
    graph = onnx.load(tmp_path / "a.onnx").graph
    assert not {"SpaceToDepth", "DepthToSpace"} & {node.op_type for node in graph.node}
    rates = [
        tuple(attribute.ints)
        for node in graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "dilations"
    ]
    assert (rate if isinstance(rate, tuple) else (rate, rate)) in rates
    image = np.random.default_rng(0).uniform(0, 255, (1, 23, 31, 3)).astype("float32")
    logits = keras.ops.image.resize(segmenter(image), (23, 31))
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose(OnnxSegmenter(tmp_path / "a.onnx").probabilities(image), expected, atol=1e-4)


def test_the_model_is_as_before_afterwards():
    segmenter = dilated("same", 3, 3)
    (layer,) = [one for one in segmenter.layers if isinstance(one, keras.layers.Conv2D)]
    with pytest.raises(RuntimeError, match="stop"), native_dilation(segmenter):
        assert "convolution_op" in vars(layer)
        raise RuntimeError("stop")
    assert "convolution_op" not in vars(layer)


def test_layers_that_convolve_in_their_own_way_are_left_alone():
    class Own(keras.layers.Conv2D):
        pass

    image = keras.Input((None, None, 3))
    own = Own(2, 3, dilation_rate=2)
    with native_dilation(keras.Model(image, own(image))):
        assert "convolution_op" not in vars(own)
