"""Sets the names, dimensions, metadata and outputs of an ONNX graph."""

import onnx

import keras_wsseg
from keras_wsseg.export.crf_calls import stage_names
from keras_wsseg.export.metadata import OUTPUTS


def finish(model, form, about):
    """Gives inputs, outputs and dimensions their documented names, and adds the metadata.

    Args:
        model: `onnx.ModelProto` as the converter left it, changed in place.
        form: `GraphForm`.
        about: `SegmenterMetadata`.
    """
    graph = model.graph
    stages = stage_names((len(graph.output) - len(OUTPUTS)) // 2)
    names = {old.name: new for old, new in zip(graph.output, (*OUTPUTS, *stages), strict=True)}
    names[graph.input[0].name] = "image"
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    shape, classes = form.shape, len(about.class_names)
    image = [shape.batch or "batch", shape.height or "height", shape.width or "width"]
    _set_dimensions(graph.input[0], [*image, shape.channels])
    _set_dimensions(graph.output[0], [*image, classes])
    _set_dimensions(graph.output[1], image)
    sign(model, about)


def sign(model, about):
    """Writes the metadata and producer of a file, and removes those of other tools.

    Args:
        model: `onnx.ModelProto`, changed in place.
        about: `SegmenterMetadata`.
    """
    graph, classes = model.graph, len(about.class_names)
    # Shapes inside were inferred under the converter's names for dimensions, and ONNX Runtime infers its own.
    del graph.value_info[:]
    graph.name = "segmenter"
    graph.doc_string = ""
    model.producer_name = "keras_wsseg"
    model.producer_version = keras_wsseg.__version__
    model.doc_string = f"Segmenter of {classes} classes: {', '.join(about.class_names)}"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, about.to_properties(keras_wsseg.__version__))


def keep_outputs(model, names):
    """Removes from a graph what only other outputs need.

    Args:
        model: `onnx.ModelProto`, changed in place.
        names: outputs to keep, in this order.
    """
    graph = model.graph
    outputs = {value.name: value for value in graph.output}
    kept = [onnx.ValueInfoProto.FromString(outputs[name].SerializeToString()) for name in names]
    del graph.output[:]
    graph.output.extend(kept)
    needed = set(names)
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(_read_by(node))
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    drop_unused_constants(graph)


def drop_unused_constants(graph):
    """Removes from a graph the constants that no node reads.

    Args:
        graph: `onnx.GraphProto`, changed in place.
    """
    used = {name for node in graph.node for name in _read_by(node)}
    used.update(value.name for value in graph.output)
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _read_by(node):
    """Names that a node reads, including in the bodies of loops and branches."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read_by(inner)


def _set_dimensions(value, dimensions):
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for dimension in dimensions:
        if isinstance(dimension, str):
            shape.dim.add().dim_param = dimension
        else:
            shape.dim.add().dim_value = dimension
