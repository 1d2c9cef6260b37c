"""Teaches tf2onnx, by being imported, operations that it does not know and that ONNX can say."""

import numpy as np
from tf2onnx.handler import tf_op
from tf2onnx.utils import map_onnx_to_numpy_type


@tf_op("Erfc")
class Erfc:
    """1 − erf x, in which TensorFlow writes the exact GELU."""

    @classmethod
    def version_9(cls, ctx, node, **kwargs):
        _replace(ctx, node, "Sub", lambda x, one: [one, _made(ctx, "Erf", x)])


@tf_op("Expm1")
class Expm1:
    """eˣ − 1, in which Keras writes CELU."""

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
    """Puts `operation` in the place of a node of one input, under its name."""
    (x,), shapes, dtypes = node.input, node.output_shapes, node.output_dtypes
    one = ctx.make_const(f"{node.name}/one", np.ones((), map_onnx_to_numpy_type(dtypes[0]))).output[0]
    inputs = inputs_of(x, one)
    ctx.remove_node(node.name)
    ctx.make_node(operation, inputs, name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)
