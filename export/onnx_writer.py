"""Writes a segmenter as one ONNX file that needs no recipe beside it."""

import math
import os
import pathlib
import tempfile

import keras
import onnx

import keras_wsseg
from keras_wsseg.export import parity, source
from keras_wsseg.export.export_report import ExportReport
from keras_wsseg.export.metadata import SegmenterMetadata
from keras_wsseg.visualization import class_palette

OPSETS = (15, 16, 17, 18)
# 254 and 255 stay free for what lies outside the picture and what carries no label.
LARGEST_BYTE_CLASSES = 254


def to_onnx(
    segmenter,
    path,
    class_names=None,
    palette=None,
    tolerance=1e-4,
    opset=None,
    value_range=None,
    metadata=None,
    check_sizes=None,
):
    """Writes a trained segmenter as an ONNX file and proves on the spot that it says what Keras says.

    The file is all that a deployment needs: it takes pictures as they are, normalises inside, and gives
    probabilities and the class map at the picture's own size; names, colours and the range of the pixel
    values travel in its metadata. `OnnxSegmenter` runs it with numpy and onnxruntime alone, and so does any
    other program that reads ONNX:

    - input `image`: float32 `(batch, height, width, channels)` in `value_range`;
    - output `probabilities`: float32 `(batch, height, width, classes)`;
    - output `classes`: `(batch, height, width)`, uint8 for up to 254 classes, else int32.

    Logits coarser than the picture are brought to its size bilinearly before the softmax. A single logit is
    the log-odds of the second of two classes. A segmenter in mixed precision is exported in float32. On
    another backend than TensorFlow the conversion runs in a process of its own and needs TensorFlow too.

    Args:
        segmenter: `keras.Model` from picture `(batch, height, width, channels)` to logits
            `(batch, h, w, classes)`, or a model that holds one as `segmenter`, such as
            `WeaklySupervisedModel`.
        path: file to write; an existing one is replaced once the new one has passed.
        class_names: one text for each class; `class 0`, `class 1`, … by default.
        palette: one `(red, green, blue)` of 0 to 255 for each class; by default the colours in which
            pictures are shown during training, `visualization.class_palette`.
        tolerance: largest absolute difference allowed between a probability in Keras and in ONNX Runtime. A
            trained segmenter stays below the default; one with logits in the hundreds, such as a deep
            network whose batch normalisation never saw data, is beyond what float32 resolves.
        opset: version of the ONNX operators, 15 (default) to 18.
        value_range: `(low, high)` of the pictures; by default what the segmenter or one of its layers
            declares as `value_range`, else (0, 255).
        metadata: further texts by name for the file, such as `{"method": "gated CRF"}`. Without a
            `method`, the name of the loss that the model was compiled with is written.
        check_sizes: list of `(height, width)` at which Keras and the file are compared on random pictures;
            by default two sizes that no power of two divides both ways, or the size that a fixed model takes.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `segmenter` is no `keras.Model`.
        ValueError: if an argument does not fit, an operation has no counterpart in ONNX, or the file differs
            by more than `tolerance`; `path` is then left as it was.
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
    _check_arguments(path, tolerance, opset)
    value_range = _value_range(segmenter, value_range)
    extra = {**_method(segmenter), **(metadata or {})}
    segmenter = source.in_float32(source.find_segmenter(segmenter))
    shape = source.picture_shape(segmenter)
    sizes = parity.sizes_to_check(shape, check_sizes)
    reference = parity.run_keras(segmenter, shape, sizes, value_range)
    about = _describe(reference.classes, class_names, palette, value_range, shape.channels, extra)

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        draft = pathlib.Path(folder) / "draft.onnx"
        # What the device's TF32 needs beside a plain product has no counterpart in ONNX.
        with parity.full_float32():
            _convert(segmenter, shape, opset, reference, draft)
        _finish(draft, shape, reference.classes, about)
        outputs = parity.run_onnx(draft, reference.pictures)
        largest, mean, equal = parity.compare(reference, outputs)
        if not largest <= tolerance:
            raise ValueError(
                f"`segmenter` must give the same probabilities in ONNX Runtime as in Keras to within "
                f"tolerance={tolerance:g}. Received: a difference of {largest:.2g} (mean {mean:.2g}) between "
                f"logits of up to {reference.largest_logit:.3g}"
            )
        file_size = draft.stat().st_size
        os.replace(draft, path)
    return ExportReport(path, sizes, largest, mean, equal, file_size, opset)


def _check_arguments(path, tolerance, opset):
    if opset not in OPSETS:
        raise ValueError(f"`opset` must be one of {', '.join(map(str, OPSETS))}. Received: opset={opset}")
    if not tolerance > 0:
        raise ValueError(f"`tolerance` must be above 0. Received: tolerance={tolerance}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path` must lie in an existing folder. Received: path={path}")
    if path.is_dir():
        raise ValueError(f"`path` must be a file. Received: path={path} which is a folder")


def _value_range(model, value_range):
    if value_range is None:
        value_range = source.find_value_range(model) or (0.0, 255.0)
    problem = f"`value_range` must be (low, high), low < high. Received: value_range={value_range}"
    try:
        low, high = (float(x) for x in value_range)
    except (TypeError, ValueError) as error:
        raise ValueError(problem) from error
    if not -math.inf < low < high < math.inf:
        raise ValueError(problem)
    return low, high


def _method(model):
    name = getattr(getattr(model, "loss", None), "name", None)
    return {"method": name} if isinstance(name, str) and name else {}


def _describe(classes, class_names, palette, value_range, channels, extra):
    if class_names is None:
        class_names = [f"class {number}" for number in range(classes)]
    if len(class_names) != classes:
        raise ValueError(
            f"`class_names` must name the {classes} classes that the segmenter tells apart. "
            f"Received: class_names={list(class_names)}"
        )
    if palette is None:
        colours = class_palette(min(classes, LARGEST_BYTE_CLASSES))
        palette = [colours[number % len(colours)] for number in range(classes)]
    palette = tuple(tuple(int(x) for x in colour) for colour in palette)
    return SegmenterMetadata(tuple(class_names), palette, value_range, channels, extra)


def _convert(segmenter, shape, opset, reference, draft):
    arguments = (segmenter, shape, opset, reference.resize, reference.classes <= LARGEST_BYTE_CLASSES, draft)
    if keras.backend.backend() == "tensorflow":
        from keras_wsseg.export.conversion import convert

        convert(*arguments)
    else:
        from keras_wsseg.export.tensorflow_process import convert_elsewhere

        convert_elsewhere(*arguments)


def _finish(draft, shape, classes, about):
    """Gives inputs, outputs and dimensions the names that programs read, and adds the metadata."""
    model = onnx.load(draft)
    graph = model.graph
    names = {old.name: new for old, new in zip(graph.output, ("probabilities", "classes"), strict=True)}
    names[graph.input[0].name] = "image"
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    picture = [shape.batch or "batch", shape.height or "height", shape.width or "width"]
    _set_dimensions(graph.input[0], [*picture, shape.channels])
    _set_dimensions(graph.output[0], [*picture, classes])
    _set_dimensions(graph.output[1], picture)
    # Shapes inside were inferred under the converter's names for dimensions, and ONNX Runtime infers its own.
    del graph.value_info[:]
    graph.name = "segmenter"
    graph.doc_string = ""
    model.producer_name = "keras_wsseg"
    model.producer_version = keras_wsseg.__version__
    model.doc_string = f"Segmenter of {classes} classes: {', '.join(about.class_names)}"
    onnx.helper.set_model_props(model, about.to_properties(keras_wsseg.__version__))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, draft)


def _set_dimensions(value, dimensions):
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for dimension in dimensions:
        if isinstance(dimension, str):
            shape.dim.add().dim_param = dimension
        else:
            shape.dim.add().dim_value = dimension
