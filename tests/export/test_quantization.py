import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from keras_wsseg.export import OnnxSegmenter, to_onnx
from keras_wsseg.export.random_images import random_image


def images(count=6, size=(32, 40)):
    return random_image(np.random.default_rng(5), (count, *size, 3), (0, 255))


@pytest.fixture(scope="module")
def segmenter():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, keras.layers.Conv2D(3, 1, kernel_initializer="glorot_normal")(x))


def test_weights_are_int8_by_channel_and_the_head_is_not(segmenter, tmp_path):
    full = to_onnx(segmenter, tmp_path / "full.onnx")
    report = to_onnx(segmenter, tmp_path / "a.onnx", precision="int8", calibration=images())
    assert report.precision == "int8" and report.sizes == ((32, 40),)
    assert report.file_size < 0.75 * full.file_size
    assert 0 < report.mean_difference < 0.02 and report.equal_classes > 0.95
    model = onnx.load(tmp_path / "a.onnx")
    kernels = [
        one for one in model.graph.initializer if one.data_type == TensorProto.INT8 and len(one.dims) == 4
    ]
    assert [tuple(one.dims) for one in kernels] == [(32, 3, 3, 3), (32, 32, 3, 3)]
    scales = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    assert all(scales[one.name.replace("quantized", "scale")].shape == (32,) for one in kernels)
    dequantized = {
        name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Exp", "ReduceSum", "Mul", "Div", "ArgMax"):
            assert not dequantized.intersection(node.input), node
    assert OnnxSegmenter(tmp_path / "a.onnx").metadata["precision"] == "int8"


def test_the_ranges_are_those_of_the_images(segmenter, tmp_path):
    """Calibrated on dark images alone, bright ones lie outside all ranges."""
    to_onnx(segmenter, tmp_path / "good.onnx", precision="int8", calibration=images())
    limits = {"mean_tolerance": 1.0, "min_equal_classes": 0.0}
    to_onnx(segmenter, tmp_path / "dark.onnx", precision="int8", calibration=images() // 50, **limits)
    truth = np.asarray(keras.ops.softmax(segmenter(images())))
    errors = []
    for name in ("good.onnx", "dark.onnx"):
        found = OnnxSegmenter(tmp_path / name).probabilities(images())[:, ::2, ::2]
        errors.append(np.abs(found - truth).mean())
    assert errors[1] > 2 * errors[0]


def test_bytes_in_and_a_fixed_size(segmenter, tmp_path):
    calibration = list(images().astype("uint8"))
    report = to_onnx(
        segmenter,
        tmp_path / "a.onnx",
        precision="int8",
        calibration=calibration,
        input_dtype="uint8",
        size=(24, 16),
    )
    assert report.sizes == ((24, 16),)


def test_a_file_further_off_than_allowed_is_not_left(segmenter, tmp_path):
    with pytest.raises(ValueError, match=r"ONNX Runtime in int8 as in Keras to within mean_tolerance=1e-06"):
        to_onnx(segmenter, tmp_path / "a.onnx", precision="int8", calibration=images(), mean_tolerance=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_a_lone_layer_is_refused(tmp_path):
    image = keras.Input((None, None, 3))
    lone = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Rescaling(1 / 255)(image)))
    for precision, calibration in (("int8", images()), ("float16", None)):
        with pytest.raises(
            ValueError, match=f'`precision="{precision}"` needs .* weights before its last layer'
        ):
            to_onnx(lone, tmp_path / "a.onnx", precision=precision, calibration=calibration)
