"""The options of `keras-wsseg export`, and the arguments of the exports that they make."""

import functools
import re

from keras_wsseg.cli.options import add_argument_of
from keras_wsseg.cli.refine import add_crf_options

_FORMATS = {".onnx": "onnx", ".tflite": "tflite", "": ""}
_NAMES = {"onnx": "ONNX", "tflite": "LiteRT", "": "a SavedModel"}
_ONNX = {
    "outputs": {"metavar": "A,B"},
    "precision": {"choices": ("float32", "float16", "int8")},
    "calibration": {"metavar": "DIR"},
    "calibration_images": {"type": int, "metavar": "N"},
    "opset": {"type": int, "metavar": "N"},
}
_LIMITS = ("tolerance", "mean_tolerance", "min_equal_classes")


def add_options(parser):
    """Adds what can be chosen of an export."""
    shared = functools.partial(add_argument_of, room="export", function="ExportOptions")
    shared(parser, name="class_names", metavar="A,B,...")
    graph = parser.add_argument_group("graph")
    shared(graph, name="input_dtype", choices=("float32", "uint8"))
    shared(graph, name="size", metavar="WxH", help="fix the size of the images, such as 640x480")
    graph.add_argument("--tta-flip", action="store_true", help="average over the mirrored image too")
    graph.add_argument(
        "--tta-scales", metavar="X,Y,...", help="average over sizes of the image, such as 0.75,1,1.25"
    )
    onnx = parser.add_argument_group("ONNX alone")
    for name, settings in _ONNX.items():
        add_argument_of(onnx, "export", "to_onnx", name, **settings, default=None)
    onnx.add_argument(
        "--web", metavar="DIR", help="folder to write a page into that runs the file in the browser"
    )
    add_argument_of(onnx, "export", "to_web", "runtime", "--web-runtime", dest="web_runtime")
    limits = parser.add_argument_group("limits of the comparison with Keras")
    for name in _LIMITS:
        shared(limits, name=name, type=float)
    add_crf_options(parser)


def format_of(out):
    """The format that the name of a file asks for.

    Args:
        out: path.

    Returns:
        `onnx`, `tflite`, or an empty text for a SavedModel folder.

    Raises:
        ValueError: if the name has another ending.
    """
    suffix = out.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(
            f"OUT must end in .onnx or .tflite, or have no ending for a SavedModel. Received: {str(out)!r}"
        )
    return _FORMATS[suffix]


def settings_for(kind, arguments):
    """What was asked for, as arguments of the export to that format.

    Args:
        kind: of `format_of`.
        arguments: of the command line.

    Returns:
        Dictionary from argument to value.

    Raises:
        ValueError: if an option is not one of that format, or cannot be read.
    """
    if arguments.crf == "dense":
        raise ValueError("--crf must be windowed, as a dense one does not export. Received: --crf dense")
    if arguments.web is None and arguments.web_runtime != "download":
        raise ValueError(f"--web-runtime goes with --web DIR. Received: {arguments.web_runtime!r}")
    given = {name: getattr(arguments, name) for name in _ONNX if getattr(arguments, name) is not None}
    for name in (*given, *(("web",) if arguments.web is not None else ())):
        if kind != "onnx":
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is for ONNX alone. Received: {option} and {_NAMES[kind]}")
    if "calibration_images" in given and "calibration" not in given:
        raise ValueError(
            "--calibration-images goes with --calibration DIR. "
            f"Received: {arguments.calibration_images} alone"
        )
    if "outputs" in given:
        given["outputs"] = [name.strip() for name in given["outputs"].split(",")]
    limits = {name: getattr(arguments, name) for name in _LIMITS}
    return {
        **given,
        **limits,
        "input_dtype": arguments.input_dtype,
        "size": _read_size(arguments.size),
        "tta": _read_augmentation(arguments),
    }


def _read_size(text):
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise ValueError(f"--size must be WIDTHxHEIGHT in pixels, such as 640x480. Received: {text!r}")
    width, height = map(int, found.groups())
    return height, width


def _read_augmentation(arguments):
    if not arguments.tta_flip and arguments.tta_scales is None:
        return None
    tta = {"flip": True} if arguments.tta_flip else {}
    if arguments.tta_scales is not None:
        try:
            tta["scales"] = [float(scale) for scale in arguments.tta_scales.split(",")]
        except ValueError as error:
            raise ValueError(
                f"--tta-scales must be numbers such as 0.75,1,1.25. Received: {arguments.tta_scales!r}"
            ) from error
    return tta
