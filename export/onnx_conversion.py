"""Turns a model that TensorFlow can trace into an ONNX model."""

import onnx
from tf2onnx import optimizer, tfonnx

from keras_wsseg.export import onnx_operations  # noqa: F401
from keras_wsseg.export.frozen_graph import frozen_graph
from keras_wsseg.export.source import all_layers

# Replacements to suggest for operations that ONNX lacks, by operation.
_REPLACEMENTS = {
    "Bitcast": "`ops.top_k` or `tf.argmax` in place of `ops.argmax`",
    "ScaleAndTranslate": "bilinear, bicubic or nearest resizing without `antialias`",
}


def converted(model, image, opset):
    """Converts a model.

    Args:
        model: `keras.Model` of one tensor that gives a tuple of tensors, on the TensorFlow backend.
        image: `tf.TensorSpec` of that tensor.
        opset: version of the ONNX operators.

    Returns:
        `onnx.ModelProto`; operations that ONNX lacks keep TensorFlow's names in it.
    """
    graph = frozen_graph(model, image)
    try:
        # Optimizing in place avoids a copy of all weights before each pass, a third of an export's time.
        return _to_onnx(graph, opset, catch_errors=False)
    except Exception:
        # With copies to go back to, a pass that fails is skipped.
        return _to_onnx(graph, opset, catch_errors=True)


def refuse_foreign_operations(model, segmenter):
    """Rejects a graph with operations that ONNX lacks.

    Args:
        model: `onnx.ModelProto`.
        segmenter: `keras.Model`, to name the layer of the operation.

    Raises:
        ValueError: if there is such an operation.
    """
    versions = {item.domain: item.version for item in model.opset_import}
    for node in model.graph.node:
        if not onnx.defs.has(node.op_type, versions.get(node.domain, 0), node.domain):
            instead = f"; use {_REPLACEMENTS[node.op_type]}" if node.op_type in _REPLACEMENTS else ""
            raise ValueError(
                f"`segmenter` must consist of operations that ONNX supports{instead}. "
                f"Received: operation {node.op_type} {_place(node.name, segmenter)}"
            )


def _to_onnx(graph, opset, catch_errors):
    with graph.loaded() as loaded:
        found = tfonnx.process_tf_graph(
            loaded,
            continue_on_error=True,
            opset=opset,
            input_names=[graph.input],
            output_names=list(graph.outputs),
        )
        return optimizer.optimize_graph(found, catch_errors).make_model("segmenter")


def _place(node, segmenter):
    """The innermost layer named in the path of a node."""
    layers = {layer.name: layer for layer in (segmenter, *all_layers(segmenter))}
    for part in reversed(node.split("/")):
        # TensorFlow numbers the scopes of a layer that is called more than once.
        for name in (part, part.rpartition("_")[0]):
            if name in layers:
                return f"in layer {name} ({type(layers[name]).__name__})"
    return f"at {node}"
