"""What TensorFlow traces of a model as one flat graph that holds all it needs."""

import contextlib
import dataclasses

import tensorflow as tf
from tf2onnx import tf_loader

# TensorFlow leaves functions alone that ask for XLA, as grouped convolutions in Keras do.
_ASKS_FOR_XLA = "_XlaMustCompile"


@dataclasses.dataclass(frozen=True)
class FrozenGraph:
    """A graph without variables, captured tensors or functions that TensorFlow could take apart.

    Args:
        definition: `tf.compat.v1.GraphDef`.
        input: name of the tensor that is fed.
        outputs: names of the tensors that are read, in their order.
    """

    definition: tf.compat.v1.GraphDef
    input: str
    outputs: tuple

    @contextlib.contextmanager
    def loaded(self):
        """Yields the graph as the `tf.Graph` of the moment."""
        with tf.device("/cpu:0"), tf.Graph().as_default() as graph:
            tf.import_graph_def(self.definition, name="")
            yield graph


def frozen_graph(model, image):
    """Traces a model and freezes its weights, and all tensors that its layers keep, as constants.

    Args:
        model: function of one tensor that gives a tuple of tensors.
        image: `tf.TensorSpec` of that tensor.

    Returns:
        `FrozenGraph`.
    """
    traced = tf.function(model, autograph=False).get_concrete_function(image)
    # Behind the model's own input come the tensors that it captured.
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
        if _ASKS_FOR_XLA in part.attr:
            found = True
            for wish in (_ASKS_FOR_XLA, "_noinline"):
                part.attr.pop(wish, None)
    return found
