"""Writes a segmenter as a SavedModel folder for TensorFlow's own runtimes."""

import pathlib
import tempfile

from keras_wsseg.export import metadata_json, parity
from keras_wsseg.export.crf_calls import stage_names
from keras_wsseg.export.export_report import report_of
from keras_wsseg.export.metadata import OUTPUTS
from keras_wsseg.export.options import with_fields
from keras_wsseg.export.preparation import prepare
from keras_wsseg.export.raw_graph import write_raw_graph
from keras_wsseg.export.saved_model_folder import replace_folder
from keras_wsseg.export.source import first_line

METADATA_FOLDER = "assets.extra"


def to_saved_model(segmenter, path, options=None, **fields):
    """Writes a trained segmenter as a SavedModel and verifies that it reproduces Keras's output.

    TensorFlow Serving, TFX and programs that use TensorFlow's C++, Java and Go APIs load this format; for
    anything else `to_onnx` writes one file. The SavedModel takes unprocessed images, and loading it does not
    require this library. Its identical signatures `serving_default` and `serve` have

    - input `image`: float32 or uint8 `(batch, height, width, channels)` in `value_range`;
    - output `probabilities`: float32 `(batch, height, width, classes)`;
    - output `classes`: `(batch, height, width)`, uint8 for up to 254 classes, else int32.

    Names, colors, range and method are in `assets.extra/segmenter.json`: a SavedModel has no metadata field,
    and TensorFlow reserves that folder for users' files. On backends other than TensorFlow the conversion
    runs in a separate process. Verification runs on the CPU; a GPU may multiply in TF32, which is too coarse
    for a CRF, unless disabled by `tf.config.experimental.enable_tensor_float_32_execution(False)`.

    Args:
        segmenter: as in `to_onnx`.
        path: folder to write; an existing SavedModel is replaced once the new one has been verified.
        options: `ExportOptions`; None for the defaults.
        **fields: fields of `ExportOptions`, which override those in `options`.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `segmenter` is not a `keras.Model`, or an argument does not exist.
        ValueError: if an argument is invalid, `path` contains anything but a SavedModel, TensorFlow cannot
            trace the segmenter, or a limit is exceeded; `path` is then left unchanged.
        FileNotFoundError: if the folder of `path` does not exist.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> segmenter = keras.Model(image, keras.layers.Conv2D(4, 3, strides=4)(image))
    >>> report = to_saved_model(segmenter, "saved", input_dtype="uint8")
    >>> import tensorflow as tf
    >>> serve = tf.saved_model.load("saved").signatures["serving_default"]
    >>> serve(image=tf.zeros((1, 50, 70, 3), tf.uint8))["classes"].shape
    TensorShape([1, 50, 70])
    """
    path = pathlib.Path(path)
    options = with_fields(options, fields)
    limits = options.limits("float32")
    prepared = prepare(segmenter, path, options, folder=True)
    prepared.about.extra["precision"] = "float32"
    with tempfile.TemporaryDirectory(prefix=".export.", dir=path.parent) as folder:
        draft = pathlib.Path(folder) / "draft"
        write_raw_graph("to_raw_saved_model", prepared, draft)
        (draft / METADATA_FOLDER).mkdir()
        about = metadata_json.metadata_json(prepared.about)
        (draft / METADATA_FOLDER / metadata_json.FILE_NAME).write_text(about, encoding="utf-8")
        reference = prepared.reference
        found = opened = _run(draft, reference.images)
        if reference.crf_calls:
            # Outputs cannot be removed from a SavedModel, so the comparison uses a second one.
            write_raw_graph("to_raw_saved_model", prepared, draft.with_name("opened"), opened=True)
            opened = _run(draft.with_name("opened"), reference.images, stage_names(reference.crf_calls))
        differences = parity.compare(prepared.deployment, reference, found, opened)
        limits.check(differences, "a SavedModel", reference.largest_logit)
        file_size = sum(file.stat().st_size for file in draft.rglob("*") if file.is_file())
        replace_folder(draft, path)
    return report_of(path, reference, differences, file_size, format="SavedModel")


def _run(draft, images, stages=()):
    import tensorflow as tf

    try:
        # Another framework may occupy the GPU, and TF32 products would not measure the SavedModel's own
        # error.
        with tf.device("/CPU:0"):
            serve = tf.saved_model.load(str(draft)).signatures["serving_default"]
            found = [serve(image=tf.constant(image)) for image in images]
            return [[outputs[name].numpy() for name in (*OUTPUTS, *stages)] for outputs in found]
    except Exception as error:
        raise ValueError(
            "`segmenter` was converted to a SavedModel that TensorFlow does not run. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error
