import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from keras_wsseg.export import to_onnx
from keras_wsseg.export.half_precision import to_float16


def tensor_types(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {
        value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)
    }


def test_only_what_lies_between_the_weights_is_half(tiny_segmenter, tmp_path):
    to_onnx(tiny_segmenter(stride=4), tmp_path / "a.onnx", precision="float16")
    model = onnx.load(tmp_path / "a.onnx")
    types = tensor_types(model)
    halves = {node.op_type for node in model.graph.node if types.get(node.output[0]) == TensorProto.FLOAT16}
    assert "Conv" in halves and "Relu" in halves
    assert not halves & {"MatMul", "Exp", "ReduceSum", "Div", "Range", "ArgMax", "ReduceMax"}
    logits = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    assert types[logits.output[0]] == TensorProto.FLOAT
    assert [types[value.name] for value in model.graph.output] == [TensorProto.FLOAT, TensorProto.UINT8]
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_weights_take_half_the_room(tmp_path):
    import keras

    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    full = to_onnx(segmenter, tmp_path / "full.onnx")
    half = to_onnx(segmenter, tmp_path / "half.onnx", precision="float16")
    assert half.file_size < 0.6 * full.file_size
    assert (half.precision, full.precision) == ("float16", "float32")
    assert full.max_difference < half.max_difference < 0.01


def test_images_beyond_half_precision_keep_their_digits(tmp_path):
    """65535 has no float16: the normalization must come before the cast."""
    import keras

    image = keras.Input((None, None, 1))
    x = keras.layers.Rescaling(1 / 65535)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(2, 1)(x))
    report = to_onnx(segmenter, tmp_path / "a.onnx", precision="float16", value_range=(0, 65535))
    assert report.max_difference < 0.01


def two_layers(first):
    weights = [
        numpy_helper.from_array(np.float32(x).reshape(1, 1, 1, 1), n) for x, n in ((first, "w1"), (1, "w2"))
    ]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w1"], ["h"]), helper.make_node("Conv", ["h", "w2"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def test_a_weight_beyond_half_precision_is_its_largest_number():
    model = two_layers(1e6)
    to_float16(model)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full((1, 1, 2, 2), 0.5, "float32")})
    np.testing.assert_allclose(found, 65504 * 0.5)


def test_activations_that_overflow_are_an_error(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter(stride=1)
    kernel, bias = segmenter.layers[2].get_weights()
    segmenter.layers[2].set_weights([kernel * 1e6, bias])
    mean, variance = segmenter.layers[3].get_weights()[2:]
    segmenter.layers[3].set_weights([*segmenter.layers[3].get_weights()[:2], mean * 1e6, variance * 1e12])
    to_onnx(segmenter, tmp_path / "a.onnx", tolerance=1e-2)
    with pytest.raises(ValueError, match="in ONNX Runtime in float16 as in Keras to within tolerance=0.1"):
        to_onnx(segmenter, tmp_path / "b.onnx", precision="float16")
    assert not (tmp_path / "b.onnx").exists()
