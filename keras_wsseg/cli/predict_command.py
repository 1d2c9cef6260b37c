"""`keras-wsseg predict`."""

import errno
import os
import pathlib
import warnings

from keras_wsseg.cli import console
from keras_wsseg.cli.images import check_out, find_images
from keras_wsseg.cli.options import add_command
from keras_wsseg.cli.prediction import LAYERS, Tasks, Writer, frame_place, is_video
from keras_wsseg.cli.refine import add_crf_options, refined
from keras_wsseg.cli.run_time import add_run_time_options, load_to_run
from keras_wsseg.cli.segmenters import check_channels
from keras_wsseg.cli.video import VIDEOS
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES

_DESCRIPTION = """
Segments images and videos of any size and writes a mask for each image: a PNG of class ids that shows in
the colors of the classes. It needs a segmenter and images; an .onnx file runs without starting TensorFlow.
A mask lies on the image as viewers show it, turned as its camera says. A video needs PyAV: pip install
'keras-wsseg[video]'.
"""

_EXAMPLE = """
keras-wsseg predict hearts.onnx new/ --out masks --overlay
keras-wsseg predict hearts.onnx new/ --out masks --recursive --resume       # after Ctrl-C
keras-wsseg predict streets.onnx drive.mp4 --every 10 --out masks --overlay
keras-wsseg predict runs/hearts new/ --out masks --crf dense
"""

# Errors of writing that every further image would meet again.
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "predict", "segment images and videos", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder, .keras file or .onnx file")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="images, videos, folders of them, or patterns: 'a/*.jpg'",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder for the masks: NAME.png for each image, NAME/frame_000000.png, ... for each video",
    )
    parser.add_argument(
        "--recursive",
        action="store_true",
        help="take the folders within folders too; the masks lie in the same folders below DIR",
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="of a video each N-th frame (default: 1)"
    )
    parser.add_argument(
        "--overlay", action="store_true", help="also DIR/overlay/NAME.png: the mask over its image"
    )
    parser.add_argument(
        "--rgba",
        action="store_true",
        help="also DIR/rgba/NAME.png: the colors alone, half transparent, to lay over the image; a class "
        "called background is clear",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also DIR/probabilities/NAME.npy: float32 (height, width, classes)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what an earlier run with the same options has written, where it is newer than its "
        "image and than the segmenter",
    )
    add_crf_options(parser)
    add_run_time_options(parser)
    parser.set_defaults(run=run)


def run(arguments):
    """Predicts all that can be, then lists the rest."""
    if arguments.every < 1:
        raise ValueError(f"--every must be at least 1. Received: {arguments.every}")
    if not arguments.out:
        raise ValueError("--out must name a folder. Received: ''")
    out = pathlib.Path(arguments.out)
    images = find_images(arguments.inputs, arguments.recursive, IMAGE_SUFFIXES + VIDEOS, out)
    places = {path: frame_place(place, 0) if is_video(path) else place for path, place in images.items()}
    check_out(out, places, "masks", ("overlay", "rgba"))
    segmenter = load_to_run(arguments)
    for option, asked in (("--probabilities", arguments.probabilities), ("--crf", arguments.crf != "none")):
        if asked and "probabilities" not in segmenter.outputs:
            raise ValueError(
                f"{option} needs a segmenter that was exported with probabilities among its outputs. "
                f"Received: {arguments.segmenter!r} with {', '.join(segmenter.outputs)} alone"
            )
    if arguments.crf != "none" and "crf" in getattr(segmenter, "metadata", {}):
        raise ValueError(
            "--crf must be left out for a file that has a CRF. "
            f"Received: {arguments.segmenter!r} with a CRF inside: {segmenter.metadata['crf']}"
        )
    segmenter = refined(segmenter, arguments)
    check_channels(segmenter)
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise PermissionError(f"--out must be a folder that can be written to. Received: {arguments.out!r}")
    since = _written(arguments.segmenter) if arguments.resume else None
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow refuses images that are too large by far; that one is merely large is no news.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return _predict_all(images, segmenter, out, arguments, since)


def _predict_all(images, segmenter, out, arguments, since):
    tasks = Tasks(images, segmenter.channels, segmenter.value_range, arguments.every)
    writer = Writer(segmenter, out, [layer for layer in LAYERS if getattr(arguments, layer)])
    made = kept = 0
    try:
        for task in console.progress("predicting")(tasks):
            try:
                if since is not None and writer.finished(task, since):
                    kept += 1
                    continue
                writer.write(task)
                made += 1
            except Exception as error:
                if getattr(error, "errno", None) in _NO_PLACE:
                    raise
                # Whatever a decoder, a backend or its memory says of one: the others shall have theirs.
                tasks.fail(task, error)
    except KeyboardInterrupt:
        return console.interrupted(
            f"masks in {out} so far: {made + kept}; the same command with --resume goes on"
        )
    from_before = f", {kept} of them from before" if kept else ""
    print(f"{made + kept} of {made + kept + len(tasks.failed)} masks in {out}{from_before}")
    return console.tell_failed("predicted", tasks.failed)


def _written(segmenter):
    """When a segmenter's file was written, in nanoseconds."""
    path = pathlib.Path(segmenter)
    if path.suffix.lower() != ".onnx":
        from keras_wsseg.training.run_folder import segmenter_file

        path = segmenter_file(path)
    return path.stat().st_mtime_ns
