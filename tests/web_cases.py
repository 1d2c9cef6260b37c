"""Segmenters of every form that a file may have, written without Keras, and images for them."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from keras_wsseg.export.metadata import SegmenterMetadata


def write_segmenter(
    path,
    channels=3,
    classes=4,
    input_dtype="float32",
    outputs=("probabilities", "classes"),
    value_range=(0.0, 255.0),
    batch="batch",
    height="height",
    width="width",
    names=None,
    extra=None,
    nodes=(),
):
    """One convolution from image to classes, in the forms that `to_onnx` writes; `nodes` come before it."""
    generator = np.random.default_rng(0)
    low, high = value_range
    weights = {
        "kernel": generator.normal(0, 2, (classes, channels, 3, 3)).astype("float32"),
        "bias": generator.normal(0, 0.5, classes).astype("float32"),
        "low": np.float32(low),
        "range": np.float32(high - low),
    }
    body = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        *nodes,
        helper.make_node("Sub", [nodes[-1].output[0] if nodes else "float", "low"], ["shifted"]),
        helper.make_node("Div", ["shifted", "range"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel", "bias"], ["logits"], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["logits"], ["nhwc"], perm=[0, 2, 3, 1]),
    ]
    size = [batch, height, width]
    byte = TensorProto.UINT8 if classes <= 254 else TensorProto.INT32
    made = []
    if "probabilities" in outputs:
        body.append(helper.make_node("Softmax", ["nhwc"], ["probabilities"], axis=3))
        made.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*size, classes]))
    if "classes" in outputs:
        body.append(helper.make_node("ArgMax", ["nhwc"], ["numbers"], axis=3, keepdims=0))
        body.append(helper.make_node("Cast", ["numbers"], ["classes"], to=byte))
        made.append(helper.make_tensor_value_info("classes", byte, size))
    kind = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}[input_dtype]
    image = helper.make_tensor_value_info("image", kind, [*size, channels])
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(body, "segmenter", [image], made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    names = tuple(names or (f"class {number}" for number in range(classes)))
    palette = tuple(map(tuple, np.random.default_rng(1).integers(0, 256, (classes, 3)).tolist()))
    about = SegmenterMetadata(names, palette, value_range, channels, {"method": "dense", **(extra or {})})
    helper.set_model_props(model, about.to_properties("0.0.0"))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def smooth_image(height, width, channels=3, seed=0):
    """Colors that run into each other, so that classes cover areas."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (5, 5, channels))
    rows, columns = (np.linspace(0, 3.999, size) for size in (height, width))
    y, x = rows.astype(int), columns.astype(int)
    v, u = (rows - y)[:, None, None], (columns - x)[:, None]
    top = coarse[y][:, x] * (1 - u) + coarse[y][:, x + 1] * u
    bottom = coarse[y + 1][:, x] * (1 - u) + coarse[y + 1][:, x + 1] * u
    image = (top * (1 - v) + bottom * v).astype("uint8")
    return image[..., 0] if channels == 1 else image
