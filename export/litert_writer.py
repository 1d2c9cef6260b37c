"""Writes a segmenter as one LiteRT file for phones and small boards."""

import os
import pathlib
import tempfile
import zipfile

from keras_wsseg.export import metadata_json, parity
from keras_wsseg.export.crf_calls import stage_names
from keras_wsseg.export.export_report import report_of
from keras_wsseg.export.metadata import OUTPUTS
from keras_wsseg.export.options import with_fields
from keras_wsseg.export.preparation import prepare
from keras_wsseg.export.raw_graph import write_raw_graph
from keras_wsseg.export.source import first_line
from keras_wsseg.export.suppressed_output import suppressed_output


def to_litert(segmenter, path, options=None, **fields):
    """Writes a trained segmenter as a LiteRT file and verifies that the file reproduces Keras's output.

    LiteRT, formerly TensorFlow Lite, runs on Android, iOS and small boards. The file contains LiteRT's
    built-in operations only, so that every interpreter runs it, and takes unprocessed images. Its one
    signature, `serving_default`, has

    - input `image`: float32 or uint8 `(batch, height, width, channels)` in `value_range`;
    - output `probabilities`: float32 `(batch, height, width, classes)`;
    - output `classes`: `(batch, height, width)`, uint8 for up to 254 classes, else int32.

    With `size` every segmenter of `models` can be converted, with CRF and augmentation too, and the batch
    size stays free; phone accelerators also require a fixed size. For images of any size `DeepLabV3Plus`,
    `UNet` with an `output_stride` and `with_input_size` around a `UNet` can be converted; all others and the
    CRF contain operations that have no counterpart in LiteRT, which is an error.

    Names, colors, range and method are in `segmenter.json` inside the file, an associated file in the sense
    of LiteRT's metadata: a ZIP archive after the graph that interpreters ignore and any ZIP reader opens, so
    that no second file is needed. Verification requires the extra `litert`. On backends other than TensorFlow
    the conversion runs in a separate process.

    Args:
        segmenter: as in `to_onnx`.
        path: file to write, `.tflite` by convention; an existing one is replaced once the new one has been
            verified.
        options: `ExportOptions`; None for the defaults.
        **fields: fields of `ExportOptions`, which override those in `options`.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `segmenter` is not a `keras.Model`, or an argument does not exist.
        ValueError: if an argument is invalid, an operation has no counterpart in LiteRT, or the file exceeds
            one of the limits; `path` is then left unchanged.
        FileNotFoundError: if the folder of `path` does not exist.
        ImportError: if the package of the extra `litert` is missing.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> segmenter = keras.Model(image, keras.layers.Conv2D(4, 3, strides=4)(image))
    >>> report = to_litert(segmenter, "segmenter.tflite", size=(64, 96), input_dtype="uint8")
    >>> from ai_edge_litert.interpreter import Interpreter
    >>> run = Interpreter("segmenter.tflite").get_signature_runner("serving_default")
    >>> run(image=np.zeros((1, 64, 96, 3), "uint8"))["classes"].shape
    (1, 64, 96)
    >>> with zipfile.ZipFile("segmenter.tflite") as archive:
    ...     print(archive.namelist())
    ['segmenter.json']
    """
    path = pathlib.Path(path)
    options = with_fields(options, fields)
    limits = options.limits("float32")
    interpreter = _interpreter()
    prepared = prepare(segmenter, path, options)
    prepared.about.extra["precision"] = "float32"
    with tempfile.TemporaryDirectory(prefix=".export.", dir=path.parent) as folder:
        draft = pathlib.Path(folder) / "draft.tflite"
        write_raw_graph("to_raw_litert", prepared, draft)
        with zipfile.ZipFile(draft, "a") as archive:
            archive.writestr(metadata_json.FILE_NAME, metadata_json.metadata_json(prepared.about))
        reference = prepared.reference
        found = opened = _run(interpreter, draft, reference.images)
        if reference.crf_calls:
            # Outputs cannot be removed from such a file, so the comparison uses a second one.
            write_raw_graph("to_raw_litert", prepared, draft.with_stem("opened"), opened=True)
            stages = stage_names(reference.crf_calls)
            opened = _run(interpreter, draft.with_stem("opened"), reference.images, stages)
        differences = parity.compare(prepared.deployment, reference, found, opened)
        limits.check(differences, "LiteRT", reference.largest_logit)
        file_size = draft.stat().st_size
        os.replace(draft, path)
    return report_of(path, reference, differences, file_size, format="LiteRT")


def _interpreter():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "`to_litert` needs the package ai-edge-litert to compare the file with Keras: "
            f"pip install 'keras-wsseg[litert]'. Received: {first_line(error)}"
        ) from error
    return Interpreter


def _run(interpreter, draft, images, stages=()):
    try:
        with suppressed_output():
            run = interpreter(str(draft)).get_signature_runner("serving_default")
            found = [run(image=image) for image in images]
    except Exception as error:
        raise ValueError(
            "`segmenter` was converted to a file that LiteRT does not run. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error
    return [[outputs[name] for name in (*OUTPUTS, *stages)] for outputs in found]
