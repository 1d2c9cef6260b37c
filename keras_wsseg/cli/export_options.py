"""The options of `keras-wsseg export`, and the arguments of the exports that they make."""

import re

from keras_wsseg.cli.refine import add_crf_options

_FORMATS = {".onnx": "onnx", ".tflite": "tflite", "": ""}
_NAMES = {"onnx": "ONNX", "tflite": "LiteRT", "": "a SavedModel"}


def add_options(parser):
    """Adds what can be chosen of an export."""
    parser.add_argument(
        "--class-names", metavar="A,B,...", help="names of the classes (default: those of the training data)"
    )
    graph = parser.add_argument_group("graph")
    graph.add_argument(
        "--input",
        choices=("float32", "uint8"),
        default="float32",
        help="type of the images that the graph takes (default: float32)",
    )
    graph.add_argument(
        "--size", metavar="WxH", help="fix the size of the images, such as 640x480 (default: any size)"
    )
    graph.add_argument("--tta-flip", action="store_true", help="let the mirrored image have a say too")
    graph.add_argument(
        "--tta-scales", metavar="X,Y,...", help="average over sizes of the image, such as 0.75,1,1.25"
    )
    onnx = parser.add_argument_group("ONNX alone")
    onnx.add_argument(
        "--outputs",
        metavar="A,B",
        help="what the graph gives: probabilities, classes, or both (default: probabilities,classes)",
    )
    onnx.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        help="precision inside the network (default: float32)",
    )
    onnx.add_argument(
        "--calibration", metavar="DIR", help="training images that show int8 which values occur"
    )
    onnx.add_argument(
        "--calibration-images", type=int, metavar="N", help="how many of them to take (default: 100)"
    )
    onnx.add_argument(
        "--opset", type=int, metavar="N", help="version of the operators, 15 to 18 (default: 15)"
    )
    onnx.add_argument(
        "--web", metavar="DIR", help="folder to write a page into that runs the file in the browser"
    )
    onnx.add_argument(
        "--web-runtime",
        metavar="WHERE",
        default="download",
        help="ONNX Runtime Web for the page: download from the npm registry (default; kept for the next "
        "page), cdn for visitors to fetch it, or a folder that holds it such as node_modules/onnxruntime-web",
    )
    limits = parser.add_argument_group("limits of the comparison with Keras")
    for name, words in (
        ("tolerance", "largest difference of a probability (default: 0.0001, float16 0.1, int8 none)"),
        ("mean-tolerance", "largest mean difference (default: none, float16 0.01, int8 0.1)"),
        (
            "min-equal-classes",
            "smallest share of pixels of the same class (default: 0.999, float16 0.98, int8 0.9)",
        ),
    ):
        limits.add_argument(f"--{name}", type=float, metavar="X", help=words)
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
    alone = ("outputs", "precision", "calibration", "calibration_images", "opset")
    given = {name: getattr(arguments, name) for name in alone if getattr(arguments, name) is not None}
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
    limits = {name: getattr(arguments, name) for name in ("tolerance", "mean_tolerance", "min_equal_classes")}
    return {
        **given,
        **limits,
        "input_dtype": arguments.input,
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
