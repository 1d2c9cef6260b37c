"""The options of how an exported segmenter runs, and the segmenter that they make."""

import pathlib

from keras_wsseg.cli import console
from keras_wsseg.cli.options import add_argument_of
from keras_wsseg.cli.segmenters import load_segmenter


def add_run_time_options(parser):
    """Adds `--provider`, `--threads`, `--window` and `--window-overlap`."""
    group = parser.add_argument_group("running an .onnx file")
    add_provider(group)
    add_argument_of(group, "export", "OnnxSegmenter", "threads", type=int, metavar="N")
    group.add_argument(
        "--window",
        metavar="N",
        help="run images in overlapping windows of N x N pixels; none: whole, whatever memory that takes; "
        "auto: large ones in windows (default: auto)",
    )
    add_argument_of(group, "export", "OnnxSegmenter", "overlap", "--window-overlap", type=int, metavar="N")


def add_provider(parser):
    """Adds `--provider`."""
    parser.add_argument(
        "--provider",
        metavar="NAME",
        help="what ONNX Runtime runs it on: cpu, cuda, tensorrt, openvino, coreml, dml, ... "
        "(default: a GPU where there is one, else cpu)",
    )


def load_to_run(arguments):
    """The segmenter `arguments.segmenter`, run as the options say; tells on the error stream what runs it.

    Raises:
        FileNotFoundError, ValueError: as `load_segmenter`, or if an option does not fit.
        RuntimeError: if the provider that was asked for does not start.
    """
    given = _given(arguments)
    if pathlib.Path(arguments.segmenter).suffix.lower() != ".onnx":
        for option in given:
            raise ValueError(
                f"{option} needs an .onnx file of `keras-wsseg export`. Received: {arguments.segmenter!r}"
            )
        return load_segmenter(arguments.segmenter)
    from keras_wsseg.export import OnnxSegmenter

    console.show_choices()
    return OnnxSegmenter(arguments.segmenter, **dict(given.values()))


def _given(arguments):
    """What was typed: from each option to an argument of `OnnxSegmenter` and its value."""
    given = {}
    if arguments.provider is not None:
        given["--provider"] = ("providers", [arguments.provider])
    if arguments.threads is not None:
        given["--threads"] = ("threads", arguments.threads)
    if arguments.window is not None:
        given["--window"] = ("window", _window(arguments.window))
    if arguments.overlap is not None:
        given["--window-overlap"] = ("overlap", arguments.overlap)
    return given


def _window(text):
    if text in ("auto", "none"):
        return None if text == "none" else text
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"--window must be a number of pixels, auto or none. Received: {text!r}") from None
