"""`keras-wsseg predict`."""

import io
import os
import pathlib
import sys

import numpy as np

from keras_wsseg.cli import console
from keras_wsseg.cli.options import add_command
from keras_wsseg.cli.pictures import check_out, find_pictures
from keras_wsseg.cli.refine import add_crf_options, refined
from keras_wsseg.cli.segmenters import load_segmenter

_DESCRIPTION = """
Segments pictures of any size and writes a mask for each: a PNG of class ids that shows in the colours of the
classes. It needs a segmenter and pictures; an .onnx file runs without starting TensorFlow.
"""

_EXAMPLE = """
keras-wsseg predict hearts.onnx new/ --out masks --overlay
keras-wsseg predict runs/hearts new/ --out masks --crf dense
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "predict", "segment pictures", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder, .keras file or .onnx file")
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="pictures, folders of them, or patterns: 'a/*.jpg'"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for the masks, NAME.png for each picture"
    )
    parser.add_argument(
        "--overlay", action="store_true", help="also DIR/overlay/NAME.png: the mask over its picture"
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also DIR/probabilities/NAME.npy: float32 (height, width, classes)",
    )
    add_crf_options(parser)
    parser.set_defaults(run=run)


def run(arguments):
    """Predicts all that can be, then lists the rest."""
    out = pathlib.Path(arguments.out)
    pictures = find_pictures(arguments.inputs)
    check_out(out, pictures, "masks", ("overlay",))
    segmenter = refined(load_segmenter(arguments.segmenter), arguments)
    if segmenter.channels not in (1, 3):
        raise ValueError(
            f"The segmenter must take grey or RGB pictures. Received: {segmenter.channels} channels"
        )
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for path in console.progress("predicting")(pictures):
        try:
            _predict(segmenter, path, out, arguments)
        except Exception as error:
            # Whatever a decoder, a backend or its memory says of one picture: the others shall have theirs.
            failed.append((path, " ".join(str(error).split())))
    print(f"{len(pictures) - len(failed)} of {len(pictures)} masks in {out}")
    for path, reason in failed:
        print(f"keras-wsseg: not predicted: {path}: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _predict(segmenter, path, out, arguments):
    from keras_wsseg.annotations import write_label_map
    from keras_wsseg.data.picture import read_picture
    from keras_wsseg.visualization import overlay, write_png

    picture = read_picture(path, "grey" if segmenter.channels == 1 else "rgb")
    if arguments.probabilities:
        probabilities = segmenter.probabilities(picture)
        mask = np.argmax(probabilities, axis=-1)
        _write_array(out / "probabilities" / f"{path.stem}.npy", probabilities)
    else:
        mask = np.asarray(segmenter(picture))
    write_label_map(out / f"{path.stem}.png", mask, segmenter.palette)
    if arguments.overlay:
        painted = overlay(picture, mask.astype("int64"), segmenter.palette, value_range=segmenter.value_range)
        write_png(out / "overlay" / f"{path.stem}.png", painted)


def _write_array(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with io.BytesIO() as whole:
        np.save(whole, array)
        partial.write_bytes(whole.getvalue())
    os.replace(partial, path)
