"""Registers with tf2onnx, on import, operations that it lacks and that ONNX can express."""

import numpy as np
from tf2onnx.handler import tf_op
from tf2onnx.utils import map_onnx_to_numpy_type


@tf_op("Erfc")
class Erfc:
    """1 − erf x, which TensorFlow uses for the exact GELU."""

    @classmethod
    def version_9(cls, ctx, node, **kwargs):
        _replace(ctx, node, "Sub", lambda x, one: [one, _made(ctx, "Erf", x)])


@tf_op("Expm1")
class Expm1:
    """eˣ − 1, which Keras uses for CELU."""

    @classmethod
    def version_7(cls, ctx, node, **kwargs):
        _replace(ctx, node, "Sub", lambda x, one: [_made(ctx, "Exp", x), one])


@tf_op("Log1p")
class Log1p:
    """log(1 + x)."""

    @classmethod
    def version_7(cls, ctx, node, **kwargs):
        _replace(ctx, node, "Log", lambda x, one: [_made(ctx, "Add", x, one)])


def _made(ctx, operation, *inputs):
    return ctx.make_node(operation, list(inputs)).output[0]


def _replace(ctx, node, operation, inputs_of):
    """Replaces a node with one input by `operation`, under the same name."""
    (x,), shapes, dtypes = node.input, node.output_shapes, node.output_dtypes
    one = ctx.make_const(f"{node.name}/one", np.ones((), map_onnx_to_numpy_type(dtypes[0]))).output[0]
    inputs = inputs_of(x, one)
    ctx.remove_node(node.name)
    ctx.make_node(operation, inputs, name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)
