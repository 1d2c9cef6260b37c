import numpy as np
import onnx
from onnx import helper, numpy_helper

from keras_wsseg.export.network_nodes import network_nodes


def graph_of(nodes, weights):
    constants = [numpy_helper.from_array(np.ones(1, "float32"), name) for name in weights]
    return helper.make_graph(nodes, "g", [], [], constants)


def named(graph):
    return {graph.node[index].name for index in network_nodes(graph)}


def node(kind, inputs, output):
    return helper.make_node(kind, inputs.split(), [output], output)


def test_the_last_weights_and_what_follows_are_left_out():
    graph = graph_of(
        [
            node("Mul", "image scale", "scaled"),
            node("Conv", "scaled w1", "c1"),
            node("Relu", "c1", "r1"),
            node("Conv", "r1 w2", "c2"),
            node("Relu", "c2", "r2"),
            node("Conv", "r2 w3", "logits"),
            node("Softmax", "logits", "p"),
        ],
        ["scale", "w1", "w2", "w3"],
    )
    assert named(graph) == {"c1", "r1", "c2", "r2"}


def test_what_does_not_stem_from_weights_is_left_out():
    """Both ways of a sum, or a concatenation, must be the network's; so must both factors of a product."""
    graph = graph_of(
        [
            node("Conv", "image w1", "c1"),
            node("Range", "a b c", "positions"),
            node("MatMul", "positions c1", "resized"),
            node("Concat", "c1 positions", "mixed"),
            node("Concat", "c1 c1", "twice"),
            node("Reshape", "twice shape", "reshaped"),
            node("ReduceMean", "reshaped", "mean"),
            node("Add", "mean c1", "sum"),
            node("Add", "reshaped c1", "skip"),
            node("Conv", "resized w2", "x"),
            node("Add", "x mixed", "y"),
            node("Add", "y sum", "y2"),
            node("Add", "y2 skip", "z"),
            node("Conv", "z w3", "logits"),
        ],
        ["w1", "w2", "w3"],
    )
    assert named(graph) == {"c1", "twice", "reshaped", "skip", "x"}


def test_a_lone_layer_has_nothing_before_its_last():
    assert network_nodes(graph_of([node("Conv", "image w1", "logits")], ["w1"])) == set()


def test_it_reads_a_graph_that_was_exported(onnx_file):
    graph = onnx.load(onnx_file).graph
    kinds = [graph.node[index].op_type for index in sorted(network_nodes(graph))]
    assert kinds.count("Conv") == 1 and "Relu" in kinds and "MatMul" not in kinds and "Exp" not in kinds
