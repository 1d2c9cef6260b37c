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

from keras_wsseg.export.head import class_logits
from keras_wsseg.export.source import first_line


def convert(segmenter, shape, opset, resize, byte_classes, path):
    """Writes the bare graph, picture to probabilities and classes, with the converter's own names.

    Args:
        segmenter: `keras.Model` on the TensorFlow backend, in float32.
        shape: `PictureShape`.
        opset: version of the ONNX operators.
        resize: whether logits must be brought to the size of the picture.
        byte_classes: whether the class map is uint8 rather than int32.
        path: file to write.

    Raises:
        ValueError: if an operation of the segmenter has no counterpart in ONNX.
    """
    deployed = _Deployed(segmenter, resize, byte_classes)
    signature = tf.TensorSpec((shape.batch, shape.height, shape.width, shape.channels), tf.float32, "image")
    try:
        with _quiet():
            deployed.export(
                str(path), format="onnx", verbose=False, input_signature=[signature], opset_version=opset
            )
    except Exception as error:
        raise ValueError(
            f"`segmenter` cannot be converted to ONNX opset {opset}. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error
    _refuse_foreign_operations(onnx.load(path, load_external_data=False))


class _Deployed(keras.Model):
    def __init__(self, segmenter, resize, byte_classes):
        super().__init__(name="deployed")
        self.segmenter = segmenter
        self.resize = resize
        self.class_dtype = "uint8" if byte_classes else "int32"
        # All weights are the segmenter's, which is built.
        self.built = True

    def call(self, image):
        size = tf.unstack(tf.shape(image))[1:3] if self.resize else None
        logits = class_logits(self.segmenter(image, training=False), size)
        # `keras.ops.argmax` views floats as integers first, and ONNX Runtime has no such operation.
        classes = tf.cast(tf.argmax(logits, axis=-1), self.class_dtype)
        return keras.ops.softmax(logits, axis=-1), classes


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
