"""`keras-wsseg export`."""

import os
import pathlib
import shlex

from keras_wsseg.cli import console
from keras_wsseg.cli.export_options import add_options, format_of, settings_for
from keras_wsseg.cli.folders import made_folders
from keras_wsseg.cli.options import add_command
from keras_wsseg.cli.segmenters import load_keras_model
from keras_wsseg.training.run_folder import segmenter_file

_DESCRIPTION = """
Writes a trained segmenter as one ONNX file that holds its normalization, class names and colors, and where
asked for a CRF and augmentation, and compares it with Keras on the spot: a difference above the limits is an
error that leaves no file. It needs a run folder or a .keras file, and the packages of the extra [export].
OUT.tflite is for LiteRT, and a name without an ending becomes a SavedModel folder.
"""

_EXAMPLE = """
keras-wsseg export runs/hearts hearts.onnx
keras-wsseg export runs/hearts hearts.onnx --crf windowed --web page
keras-wsseg export runs/hearts hearts8.onnx --precision int8 --calibration hearts/images
keras-wsseg export runs/hearts hearts.tflite --size 160x160
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(
        commands, "export", "write a segmenter as one ONNX file, or for the browser", _DESCRIPTION, _EXAMPLE
    )
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder or .keras file")
    parser.add_argument(
        "out",
        metavar="OUT",
        help="OUT.onnx, OUT.tflite, or a SavedModel folder; what is there already is replaced",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments):
    """Exports and prints the report."""
    out = pathlib.Path(arguments.out)
    kind = format_of(out)
    if pathlib.Path(arguments.segmenter).suffix.lower() == ".onnx":
        raise ValueError(
            f"A segmenter to export must be a run folder or .keras. Received: {arguments.segmenter!r}"
        )
    segmenter_file(arguments.segmenter)
    settings = settings_for(kind, arguments)
    model, class_names, config = load_keras_model(arguments.segmenter)
    if arguments.class_names is not None:
        class_names = tuple(name.strip() for name in arguments.class_names.split(","))
    from keras_wsseg import export
    from keras_wsseg.cli.refine import asked_crf
    from keras_wsseg.export.source import find_value_range
    from keras_wsseg.export.web_page import prepare_web

    refine = asked_crf(arguments, find_value_range(model) or (0.0, 255.0))
    if arguments.web is not None:
        # What stands in the way of a page is found before the export takes its time.
        pathlib.Path(arguments.web).absolute().parent.mkdir(parents=True, exist_ok=True)
        prepare_web(out, arguments.web, arguments.web_runtime)
    writers = {"onnx": export.to_onnx, "tflite": export.to_litert, "": export.to_saved_model}
    with made_folders(out.parent):
        report = writers[kind](
            model,
            out,
            class_names=class_names,
            crf=refine,
            metadata={"method": config.method} if config else None,
            **settings,
        )
    _print_report(report)
    if kind == "onnx":
        print("Next, run it on images of any size:")
        print(f"  {console.own_command()} predict {shlex.quote(str(out))} IMAGES --out masks --overlay")
    if arguments.web is not None:
        _write_page(out, arguments)


def _print_report(report):
    opset = "" if report.opset is None else f", opset {report.opset}"
    console.print_table(
        (str(report.path), ""),
        [
            ("format", f"{report.format}{opset}"),
            ("size", f"{report.file_size / 1e6:.2f} MB"),
            ("precision", report.precision),
            ("largest difference from Keras", f"{report.max_difference:.1e}"),
            ("mean difference", f"{report.mean_difference:.1e}"),
            ("pixels of the same class", f"{report.equal_classes:.2%}"),
            ("pixels whose class changes", f"{1 - report.equal_classes:.2%}"),
            ("compared on images of", ", ".join(f"{width}x{height}" for height, width in report.sizes)),
        ],
    )


def _write_page(out, arguments):
    from keras_wsseg.export import to_web

    page = to_web(out, arguments.web, runtime=arguments.web_runtime)
    folder = shlex.quote(os.fspath(page.parent))
    print("A page for the browser; open it through a web server, as files it cannot read the segmenter:")
    print(f"  python -m http.server --directory {folder}    # http://localhost:8000")
