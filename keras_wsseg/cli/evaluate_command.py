"""`keras-wsseg evaluate`."""

import dataclasses
import json
import pathlib

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import check_data_folder
from keras_wsseg.cli.options import add_command, add_values
from keras_wsseg.cli.refine import add_crf_options, refined
from keras_wsseg.cli.segmenters import load_segmenter
from keras_wsseg.training.config import check_group_by

_DESCRIPTION = """
Scores a trained segmenter, as Keras model or as ONNX file, on images with dense labels: IoU and Dice of
each class. It needs a folder with images/ and labels/ of the same file names.
"""

_EXAMPLE = """
keras-wsseg evaluate runs/hearts hearts
keras-wsseg evaluate runs/hearts hearts --crf dense
keras-wsseg evaluate hearts.onnx hearts --group-by '(patient\\d+_frame\\d+)'
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "evaluate", "score a segmenter on dense labels", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder, .keras file or .onnx file")
    parser.add_argument("data", metavar="DATA", help="folder with images/ and labels/")
    parser.add_argument(
        "--split",
        default="val",
        metavar="NAME",
        help="list of the images, NAME.txt in DATA; none: all with labels",
    )
    add_values(parser)
    parser.add_argument(
        "--group-by",
        metavar="REGEX",
        help="first group names the volume of an image; the Dice is then that of whole volumes",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the scores as JSON, 0 to 1, instead of a table"
    )
    add_crf_options(parser)
    parser.set_defaults(run=run)


def run(arguments):
    """Scores and prints."""
    if arguments.group_by is not None:
        check_group_by(arguments.group_by)
    check_data_folder(arguments.data)
    console.load_keras()
    from keras_wsseg.data import SegmentationFolder
    from keras_wsseg.training import evaluate

    segmenter = refined(load_segmenter(arguments.segmenter), arguments)
    named = (pathlib.Path(arguments.data) / "classes.txt").is_file()
    data = SegmentationFolder(
        arguments.data,
        annotation="labels",
        split=None if arguments.split.lower() == "none" else arguments.split,
        num_classes=len(segmenter.class_names),
        class_names=None if named else segmenter.class_names,
        color_mode={1: "grayscale", 3: "rgb"}.get(segmenter.channels),
        value_range=segmenter.value_range,
        values=arguments.values,
    )
    scores = evaluate(segmenter, data, arguments.group_by, console.progress("scoring"))
    if arguments.json:
        print(json.dumps(dataclasses.asdict(scores), indent=2))
    else:
        console.print_scores(dataclasses.asdict(scores))
