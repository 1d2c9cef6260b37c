"""Traces a segmenter with its head in TensorFlow and turns the graph into ONNX."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings

import keras
import onnx
import tensorflow as tf

from keras_wsseg.export.deployment import softmax
from keras_wsseg.export.source import first_line


def to_bare_onnx(deployment, form, path, opset):
    """Writes the bare graph, picture to probabilities and classes, with the converter's own names.

    Args:
        deployment: `Deployment` on the TensorFlow backend, in float32.
        form: `GraphForm`.
        path: file to write.
        opset: version of the ONNX operators.

    Raises:
        ValueError: if an operation of the segmenter has no counterpart in ONNX.
    """
    _export(deployment, form, path, f"ONNX opset {opset}", format="onnx", opset_version=opset)
    _refuse_foreign_operations(onnx.load(path, load_external_data=False))


class _Deployed(keras.Model):
    def __init__(self, deployment, form):
        super().__init__(name="deployed")
        # Keras looks for weights in attributes that are layers.
        self.segmenter, self.refine = deployment.segmenter, deployment.refine
        self.deployment, self.form = deployment, form
        # All weights are the segmenter's and the CRF's, which are built.
        self.built = True

    def call(self, image):
        logits = self.deployment.logits(tf.cast(image, tf.float32))
        # `keras.ops.argmax` views floats as integers first, and ONNX Runtime has no such operation.
        classes = tf.cast(tf.argmax(logits, axis=-1), tf.uint8 if self.form.byte_classes else tf.int32)
        return softmax(logits), classes


def _export(deployment, form, path, goal, **options):
    shape = form.shape
    picture = (shape.batch, shape.height, shape.width, shape.channels)
    try:
        with _quiet():
            _Deployed(deployment, form).export(
                str(path),
                verbose=False,
                input_signature=[tf.TensorSpec(picture, form.input, "image")],
                **options,
            )
    except Exception as error:
        raise ValueError(
            f"`segmenter` cannot be converted to {goal}. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error


def _refuse_foreign_operations(model):
    versions = {item.domain: item.version for item in model.opset_import}
    for node in model.graph.node:
        version = versions.get(node.domain, 0)
        if not onnx.defs.has(node.op_type, version, node.domain):
            raise ValueError(
                "`segmenter` must consist of operations that ONNX has. "
                f"Received: operation {node.op_type} at {node.name}"
            )


@contextlib.contextmanager
def _quiet():
    """Keeps what converter and TensorFlow chat about away from the terminal, unless the conversion fails."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as heard, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        terminal = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            heard.seek(0)
            os.write(terminal, heard.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            logger.setLevel(level)
