"""Traces a segmenter with its post-processing in TensorFlow and converts the graph to a file or folder."""

import contextlib
import re
import threading

import keras
import tensorflow as tf

from keras_wsseg.export.crf_calls import intercepted, stage_names
from keras_wsseg.export.deployment import softmax
from keras_wsseg.export.metadata import OUTPUTS
from keras_wsseg.export.native_dilation import native_dilation
from keras_wsseg.export.source import first_line
from keras_wsseg.export.suppressed_output import suppressed_output
from keras_wsseg.models.free_upsampling import FixedSizeNeeded, free_upsampling

# All threads share one error stream, and several may export a model.
_ALONE = threading.Lock()


def to_raw_onnx(deployment, form, path, opset, opened=False):
    """Writes the bare graph, image to probabilities and classes, under the converter's names.

    Args:
        deployment: `Deployment` on the TensorFlow backend, in float32.
        form: `GraphForm`.
        path: file to write.
        opset: version of the ONNX operators.
        opened: whether the logits before and after each CRF are also outputs, for comparison.

    Raises:
        ValueError: if an operation of the segmenter has no counterpart in ONNX.
    """
    # The other formats do not need these packages.
    import onnx

    from keras_wsseg.export.onnx_conversion import converted, refuse_foreign_operations

    with _converting(deployment, f"ONNX opset {opset}"):
        model = converted(_Deployed(deployment, form, opened), _image(form), opset)
    refuse_foreign_operations(model, deployment.segmenter)
    onnx.save(model, path)


def to_raw_saved_model(deployment, form, path, opened=False):
    """Writes the bare graph as a SavedModel folder.

    Args:
        deployment: `Deployment` on the TensorFlow backend, in float32.
        form: `GraphForm`.
        path: folder to write.
        opened: as in `to_raw_onnx`.

    Raises:
        ValueError: if TensorFlow cannot trace the segmenter.
    """
    with _converting(deployment, "a SavedModel"):
        _export(deployment, form, path, opened, format="tf_saved_model")


def to_raw_litert(deployment, form, path, opened=False):
    """Writes the bare graph as a LiteRT file of built-in operations only, which every interpreter has.

    Args:
        deployment: `Deployment` on the TensorFlow backend, in float32.
        form: `GraphForm`.
        path: file to write, ending in `.tflite`.
        opened: as in `to_raw_onnx`.

    Raises:
        ValueError: if an operation of the segmenter has no counterpart in LiteRT.
    """
    builtin = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    try:
        # LiteRT's converter repeats its whole exception on the terminal.
        with _converting(deployment, "LiteRT", unless_it_fails=False):
            _export(deployment, form, path, opened, format="litert", target_spec=builtin)
    except ValueError as error:
        missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error.__cause__))))
        if not missing:
            raise
        fixed = form.shape.height and form.shape.width
        hint = "" if fixed else "; set `size`, since some exist for images of one size only"
        raise ValueError(
            f"`segmenter` must consist of operations that LiteRT has built in{hint}. "
            f"Received: {', '.join(missing)}"
        ) from error


class _Deployed(keras.Model):
    def __init__(self, deployment, form, opened):
        super().__init__(name="deployed")
        # Keras finds weights in attributes that are layers.
        self.segmenter, self.crf = deployment.segmenter, deployment.crf
        self.deployment, self.form, self.opened = deployment, form, opened
        # All weights belong to the segmenter and the CRF, which are built.
        self.built = True

    def call(self, images):
        stages = []

        def kept(layer, own, logits, image):
            stages.extend((logits, own([logits, image])))
            return stages[-1]

        with intercepted(self.deployment, kept) if self.opened else contextlib.nullcontext():
            logits = self.deployment.logits(tf.cast(images, tf.float32))
        # `keras.ops.argmax` bitcasts floats to integers first, an operation that ONNX Runtime lacks.
        classes = tf.cast(tf.argmax(logits, axis=-1), tf.uint8 if self.form.byte_classes else tf.int32)
        return softmax(logits), classes, *stages


class _Named(_Deployed):
    def call(self, image):
        outputs = super().call(image)
        names = (*OUTPUTS, *stage_names((len(outputs) - len(OUTPUTS)) // 2))
        return dict(zip(names, outputs, strict=True))


@contextlib.contextmanager
def _converting(deployment, goal, unless_it_fails=True):
    """Runs one conversion at a time, silently, and raises one sentence if it fails."""
    try:
        with (
            _ALONE,
            suppressed_output(unless_it_fails),
            native_dilation(deployment.segmenter),
            free_upsampling(deployment.segmenter),
        ):
            yield
    except FixedSizeNeeded:
        raise
    except Exception as error:
        raise ValueError(
            f"`segmenter` cannot be converted to {goal}. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error


def _export(deployment, form, path, opened, **options):
    signature = [_image(form)]
    _Named(deployment, form, opened).export(str(path), verbose=False, input_signature=signature, **options)


def _image(form):
    shape = form.shape
    return tf.TensorSpec((shape.batch, shape.height, shape.width, shape.channels), form.input_dtype, "image")
