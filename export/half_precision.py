"""Converts the convolutions of a network and what lies between them, and nothing else, to float16."""

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from keras_wsseg.export.network_nodes import NEEDS_LAYERS, network_nodes
from keras_wsseg.export.onnx_graph import drop_unused_constants

LARGEST = float(np.finfo(np.float16).max)


def to_float16(model):
    """Converts the inside of a network to float16; input, logits and all that follows stay float32.

    Args:
        model: `onnx.ModelProto` in float32, changed in place.

    Raises:
        ValueError: if it has no weights other than those of its last layer.
    """
    graph = model.graph
    outputs = {value.name for value in graph.output}
    half = {index for index in network_nodes(graph) if not outputs.intersection(graph.node[index].output)}
    if not half:
        raise ValueError(f'`precision="float16"` {NEEDS_LAYERS}')
    floats = _float_tensors(model)
    made_in_half = floats.intersection(name for index in half for name in graph.node[index].output)
    casts = _Casts(graph)
    for index, node in enumerate(graph.node):
        for position, name in enumerate(node.input):
            if index in half and name in floats - made_in_half:
                node.input[position] = casts.half(name)
            elif index not in half and name in made_in_half:
                node.input[position] = casts.full(name)
        casts.nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in casts.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused_constants(graph)


class _Casts:
    """Casts each tensor to the other precision once, before its first use."""

    def __init__(self, graph):
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.made = set()
        self.nodes = []

    def half(self, name):
        if name not in self.constants:
            return self._cast(name, f"{name}_float16", TensorProto.FLOAT16)
        halved = f"{name}_float16"
        if halved not in self.made:
            self.made.add(halved)
            array = np.clip(numpy_helper.to_array(self.constants[name]), -LARGEST, LARGEST)
            self.graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), halved))
        return halved

    def full(self, name):
        return self._cast(name, f"{name}_float32", TensorProto.FLOAT)

    def _cast(self, name, result, kind):
        if result not in self.made:
            self.made.add(result)
            self.nodes.append(helper.make_node("Cast", [name], [result], result, to=kind))
        return result


def _float_tensors(model):
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = itertools.chain(inferred.value_info, inferred.input, inferred.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return floats | {tensor.name for tensor in inferred.initializer if tensor.data_type == TensorProto.FLOAT}
