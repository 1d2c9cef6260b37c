"""Writes a segmenter as one self-contained ONNX file."""

import os
import pathlib
import tempfile

import onnx
import onnxruntime

from keras_wsseg.export import onnx_graph, parity
from keras_wsseg.export.calibration import CalibrationImages
from keras_wsseg.export.export_report import report_of
from keras_wsseg.export.half_precision import to_float16
from keras_wsseg.export.metadata import OUTPUTS
from keras_wsseg.export.options import with_fields
from keras_wsseg.export.preparation import prepare
from keras_wsseg.export.quantization import to_int8
from keras_wsseg.export.raw_graph import write_raw_graph
from keras_wsseg.export.source import first_line

OPSETS = (15, 16, 17, 18)
PRECISIONS = ("float32", "float16", "int8")


def to_onnx(
    segmenter,
    path,
    options=None,
    *,
    outputs=OUTPUTS,
    precision="float32",
    opset=None,
    calibration=None,
    calibration_images=100,
    **fields,
):
    """Writes a trained segmenter as an ONNX file and verifies that the file reproduces Keras's output.

    The file is all that a deployment needs: it takes unprocessed images, normalizes them inside, and outputs
    probabilities and the class map at the size of the image; names, colors and the range of the pixel values
    are stored in its metadata. `OnnxSegmenter` runs it with NumPy and ONNX Runtime alone, and so does any
    other program that reads ONNX:

    - input `image`: float32 or uint8 `(batch, height, width, channels)` in `value_range`;
    - output `probabilities`: float32 `(batch, height, width, classes)`;
    - output `classes`: `(batch, height, width)`, uint8 for up to 254 classes, else int32.

    Logits coarser than the image are resized to it bilinearly before the softmax; the mean over several views
    of the image and the CRF follow if requested. A single logit is the log-odds of the second of two classes.
    A final softmax, or sigmoid of one channel, is detected in the segmenter's last layers, or in the outputs
    of a subclassed model, and not applied again; a subclassed model that ends in a sigmoid declares it by an
    attribute `yields_probabilities = True`. A segmenter in mixed precision is exported in float32 unless
    `precision` says otherwise. On backends other than TensorFlow the conversion runs in a separate process
    and requires TensorFlow as well.

    Args:
        segmenter: `keras.Model` from image `(batch, height, width, channels)` to logits or
            probabilities `(batch, h, w, classes)`, or a model that holds one as `segmenter`, such as
            `WeaklySupervisedModel`.
        path: file to write; an existing one is replaced once the new one has been verified.
        options: `ExportOptions`: names, colors, CRF, augmentation, size, limits; None for the defaults.
        outputs: names of the outputs, `"probabilities"`, `"classes"` or both, in order. Class maps alone save
            the memory of the probabilities.
        precision: `"float32"`; `"float16"`, half the file size, for GPUs: weights and activations of the
            network in half precision; or `"int8"`, a quarter of the file size, for CPUs with VNNI and for
            accelerators: ONNX Runtime's static quantization, weights with a scale for each channel.
            Normalization, the last layer, all resizing, CRF and softmax stay float32 in each of them.
        opset: version of the ONNX operators, 15 (default) to 18.
        calibration: images from which `"int8"` determines value ranges: a folder, a list of paths or arrays,
            or an array; take training images, never evaluation images. None for the other precisions.
        calibration_images: how many of them to use, evenly spaced over all.
        **fields: fields of `ExportOptions`, such as `class_names`, which override those in `options`.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `segmenter` is not a `keras.Model`, or an argument does not exist.
        ValueError: if an argument is invalid, an operation has no counterpart in ONNX, or the file exceeds
            one of the limits; `path` is then left unchanged.
        FileNotFoundError: if the folder of `path` does not exist.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> scaled = keras.layers.Rescaling(1 / 255)(image)
    >>> logits = keras.layers.Conv2D(4, 3, strides=4, padding="same")(scaled)
    >>> folder = tempfile.TemporaryDirectory()
    >>> report = to_onnx(keras.Model(image, logits), pathlib.Path(folder.name) / "segmenter.onnx")
    >>> report.max_difference < 1e-4
    True
    """
    path = pathlib.Path(path)
    opset = OPSETS[0] if opset is None else opset
    _check_choices(opset, precision, outputs, calibration)
    options = with_fields(options, fields)
    limits = options.limits(precision)
    own_images = None if calibration is None else CalibrationImages(calibration, calibration_images)
    prepared = prepare(segmenter, path, options, own_images)
    prepared.about.extra["precision"] = precision
    with tempfile.TemporaryDirectory(prefix=".export.", dir=path.parent) as folder:
        draft = pathlib.Path(folder) / "draft.onnx"
        _write_graph(prepared, opset, draft)
        _reduce_precision(draft, precision, prepared, own_images)
        reference = prepared.reference
        found = opened = _run(draft, reference.images)
        if reference.crf_calls:
            _keep_outputs(draft, OUTPUTS)
            found = _run(draft, reference.images)
        differences = parity.compare(prepared.deployment, reference, found, opened)
        limits.check(differences, f"ONNX Runtime in {precision}", reference.largest_logit)
        if tuple(outputs) != OUTPUTS:
            # All outputs have been compared with Keras.
            _keep_outputs(draft, tuple(outputs))
            _run(draft, reference.images[-1:])
        file_size = draft.stat().st_size
        os.replace(draft, path)
    return report_of(path, reference, differences, file_size, opset=opset, precision=precision)


def _check_choices(opset, precision, outputs, calibration):
    if opset not in OPSETS:
        raise ValueError(f"`opset` must be one of {', '.join(map(str, OPSETS))}. Received: opset={opset}")
    if precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}"
        )
    is_list = isinstance(outputs, list | tuple) and all(name in OUTPUTS for name in outputs)
    if not is_list or not outputs or len(set(outputs)) != len(outputs):
        raise ValueError(
            f"`outputs` must be a list of {' or '.join(OUTPUTS)}, or both. Received: outputs={outputs!r}"
        )
    if (precision == "int8") != (calibration is not None):
        raise ValueError(
            '`calibration` must be a folder or list of images with precision="int8", and None without. '
            f"Received: precision={precision!r}, calibration={calibration!r}"
        )


def _write_graph(prepared, opset, draft):
    write_raw_graph("to_raw_onnx", prepared, draft, opset=opset, opened=prepared.reference.crf_calls > 0)
    model = onnx.load(draft)
    onnx_graph.finish(model, prepared.form, prepared.about)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ValueError(
            "`segmenter` was converted to a file that is not valid ONNX. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error
    onnx.save(model, draft)


def _reduce_precision(draft, precision, prepared, own_images):
    if precision == "float32":
        return
    if precision == "int8":
        form, value_range = prepared.form, prepared.about.value_range
        to_int8(draft, own_images.batches(form.shape, value_range, form.input_dtype))
    model = onnx.load(draft)
    if precision == "float16":
        to_float16(model)
    # ONNX Runtime writes itself as the producer of what it quantizes, and leaves shape annotations.
    onnx_graph.sign(model, prepared.about)
    onnx.save(model, draft)


def _keep_outputs(draft, names):
    model = onnx.load(draft)
    onnx_graph.keep_outputs(model, names)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, draft)


def _run(draft, images):
    try:
        session = _start(draft)
        return [session.run(None, {"image": image}) for image in images]
    except Exception as error:
        raise ValueError(
            "`segmenter` was converted to a file that ONNX Runtime does not run. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error


def _start(draft):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(draft), options, providers=["CPUExecutionProvider"])
