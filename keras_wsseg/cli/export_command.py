"""`keras-wsseg export`."""

import pathlib
import shlex

from keras_wsseg.cli import console
from keras_wsseg.cli.options import add_command
from keras_wsseg.cli.segmenters import load_keras_model
from keras_wsseg.training.run_folder import segmenter_file

_DESCRIPTION = """
Writes a trained segmenter as one ONNX file that holds its normalisation, class names and colours, and
compares it with Keras on the spot: a larger difference than --tolerance is an error. It needs a run folder or
a .keras file, and the packages of the extra [export].
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "export",
        "write a segmenter as one ONNX file",
        _DESCRIPTION,
        "keras-wsseg export runs/hearts hearts.onnx",
    )
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder or .keras file")
    parser.add_argument("out", metavar="OUT.onnx", help="file to write; an existing one is replaced")
    parser.add_argument(
        "--class-names", metavar="A,B,...", help="names of the classes (default: those of the training data)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="X",
        help="largest difference of a probability between Keras and ONNX Runtime (default: 0.0001)",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Exports and prints the report."""
    out = pathlib.Path(arguments.out)
    if out.suffix.lower() != ".onnx":
        raise ValueError(f"OUT.onnx must end in .onnx. Received: {arguments.out!r}")
    if not arguments.tolerance > 0:
        raise ValueError(f"--tolerance must be greater than 0. Received: {arguments.tolerance}")
    if pathlib.Path(arguments.segmenter).suffix.lower() == ".onnx":
        raise ValueError(
            f"A segmenter to export must be a run folder or .keras. Received: {arguments.segmenter!r}"
        )
    segmenter_file(arguments.segmenter)
    model, class_names, config = load_keras_model(arguments.segmenter)
    from keras_wsseg.export import to_onnx

    if arguments.class_names is not None:
        class_names = tuple(name.strip() for name in arguments.class_names.split(","))
    out.parent.mkdir(parents=True, exist_ok=True)
    report = to_onnx(
        model,
        out,
        class_names=class_names,
        tolerance=arguments.tolerance,
        metadata={"method": config.method} if config else None,
    )
    sizes = ", ".join(f"{width}x{height}" for height, width in report.sizes)
    console.print_table(
        (str(report.path), ""),
        [
            ("size", f"{report.file_size / 1e6:.2f} MB"),
            ("ONNX opset", str(report.opset)),
            (
                "largest difference from Keras",
                f"{report.max_difference:.1e} (allowed: {arguments.tolerance:g})",
            ),
            ("mean difference", f"{report.mean_difference:.1e}"),
            ("pixels of the same class", f"{report.equal_classes:.2%}"),
            ("compared on pictures of", sizes),
        ],
    )
    print("Next, run it on pictures of any size:")
    print(f"  {console.own_command()} predict {shlex.quote(str(out))} PICTURES --out masks --overlay")
