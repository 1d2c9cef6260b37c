"""Traces a model in TensorFlow as one flat, self-contained graph."""

import contextlib
import dataclasses

import tensorflow as tf
from tf2onnx import tf_loader

# TensorFlow does not inline functions that request XLA, as grouped convolutions in Keras do.
_REQUESTS_XLA = "_XlaMustCompile"


@dataclasses.dataclass(frozen=True)
class FrozenGraph:
    """A graph without variables, captured tensors or functions that TensorFlow could inline.

    Args:
        definition: `tf.compat.v1.GraphDef`.
        input: name of the input tensor.
        outputs: names of the output tensors, in order.
    """

    definition: tf.compat.v1.GraphDef
    input: str
    outputs: tuple

    @contextlib.contextmanager
    def loaded(self):
        """Yields the graph as the current default `tf.Graph`."""
        with tf.device("/cpu:0"), tf.Graph().as_default() as graph:
            tf.import_graph_def(self.definition, name="")
            yield graph


def frozen_graph(model, image):
    """Traces a model and freezes its weights, and all tensors that its layers hold, as constants.

    Args:
        model: function of one tensor that gives a tuple of tensors.
        image: `tf.TensorSpec` of that tensor.

    Returns:
        `FrozenGraph`.
    """
    traced = tf.function(model, autograph=False).get_concrete_function(image)
    # The tensors that the model captured follow its own input.
    first, outputs = traced.inputs[0].name, [tensor.name for tensor in traced.outputs]
    with tf.device("/cpu:0"):
        definition = tf_loader.from_function(traced, [first], outputs)
    frozen = FrozenGraph(definition, first, tuple(outputs))
    if _drop_xla_attributes(definition):
        with frozen.loaded():
            definition = tf_loader.tf_optimize([first], outputs, definition)
        frozen = dataclasses.replace(frozen, definition=definition)
    return frozen


def _drop_xla_attributes(definition):
    functions = definition.library.function
    found = False
    for part in (*definition.node, *functions, *(node for one in functions for node in one.node_def)):
        if _REQUESTS_XLA in part.attr:
            found = True
            for name in (_REQUESTS_XLA, "_noinline"):
                part.attr.pop(name, None)
    return found
