"""Segmenters written as ONNX by hand: of every kind that the run-time half must read, without Keras."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COLORS = [[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]]


def write_segmenter(
    path,
    outputs=("probabilities", "classes"),
    dtype="float32",
    size=("batch", "height", "width"),
    channels=3,
    classes=4,
    stride=4,
    stretch=True,
    class_dtype="uint8",
    opset=15,
    ir_version=8,
    **metadata,
):
    """Two convolutions, the first of them strided, and logits at the size of the image.

    Args:
        path: file to write.
        outputs: in the order of the file.
        dtype: of the input.
        size: of the input, integers where it is fixed.
        stretch: whether the logits are brought to that size bilinearly; else they are repeated and cut off,
            so that a pixel's logits do not depend on how far away the image ends.
        metadata: texts that replace those of the file, None to leave one out.

    Returns:
        `path`.
    """
    generator = np.random.default_rng(0)
    weights = {
        "first": generator.normal(0, 0.3, (6, channels, 3, 3)) / 127.5,
        "second": generator.normal(0, 2.0, (classes, 6, 3, 3)),
    }
    constants = [numpy_helper.from_array(value.astype("float32"), name) for name, value in weights.items()]
    for name, value in {"two": [2], "four": [4], "zero": [0], "zeros": [0, 0], "axes": [2, 3]}.items():
        constants.append(numpy_helper.from_array(np.array(value, "int64"), name))
    constants.append(numpy_helper.from_array(np.array([1, 1, stride, stride], "float32"), "scales"))
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "first"], ["a"], strides=[stride, stride], auto_pad="SAME_UPPER"),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "second"], ["c"], auto_pad="SAME_UPPER"),
        node("Shape", ["planes"], ["full"]),
        node("Slice", ["full", "two", "four"], ["spatial"]),
        *(_stretched() if stretch else _repeated()),
        node("Softmax", ["logits"], ["d"], axis=1),
        node("Transpose", ["d"], ["probabilities"], perm=[0, 2, 3, 1]),
        node("ArgMax", ["logits"], ["e"], axis=1, keepdims=0),
        node("Cast", ["e"], ["classes"], to=_kind(class_dtype)),
    ]
    values = {
        "probabilities": helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*size, classes]),
        "classes": helper.make_tensor_value_info("classes", _kind(class_dtype), size),
    }
    image = helper.make_tensor_value_info("image", _kind(dtype), [*size, channels])
    graph = helper.make_graph(nodes, "segmenter", [image], [values[name] for name in outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    texts = {
        "class_names": json.dumps(["background", *(f"class {n}" for n in range(1, classes))]),
        "palette": json.dumps([COLORS[number % 4] for number in range(classes)]),
        "value_range": "[0, 255]",
        "channels": str(channels),
        "preprocessing": "none",
        "producer_version": "0",
        "method": "by hand",
        **metadata,
    }
    helper.set_model_props(model, {key: text for key, text in texts.items() if text is not None})
    onnx.save(model, path)
    return path


def _stretched():
    return [
        helper.make_node("Shape", ["c"], ["coarse"]),
        helper.make_node("Slice", ["coarse", "zero", "two"], ["others"]),
        helper.make_node("Concat", ["others", "spatial"], ["sizes"], axis=0),
        helper.make_node("Resize", ["c", "", "", "sizes"], ["logits"], mode="linear"),
    ]


def _repeated():
    return [
        helper.make_node(
            "Resize",
            ["c", "", "scales"],
            ["large"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Slice", ["large", "zeros", "spatial", "axes"], ["logits"]),
    ]


def _kind(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
