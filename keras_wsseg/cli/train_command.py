"""`keras-wsseg train`."""

import pathlib
import shlex

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import changes_to, check_data_folder, config_for
from keras_wsseg.cli.options import add_command, add_recipe, given_changes

_DESCRIPTION = """
Trains a segmenter on the annotated pixels of your images, and with the gated CRF loss on all the others. It
needs a folder with images/ and scribbles/ (or clicks/, labels/) of the same file names; with train.txt,
val.txt and labels/ in it too, it scores what it learned. A recipe says what the training is made of, and
options change it: --steps 2000, the argument of a part --loss.radius 3, or its class --loss DenseCRFLoss.
The recipe single-class needs no annotation, only images that hold one kind of object each; tags and rrm need
tags.csv, which says what is in each.
"""

_EXAMPLE = """
keras-wsseg train hearts --out runs/hearts --steps 2000
keras-wsseg train hearts --out runs/hearts --resume       # after Ctrl-C or a power cut
keras-wsseg train hearts --out runs/dense --loss DenseCRFLoss --loss.sigma_xy 30
keras-wsseg train horses --recipe single-class --segmenter UMobileNetV2 --segmenter.weights imagenet \\
    --image_size 128 --batch_size 16 --out runs/horses
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "train", "train a segmenter on a folder", _DESCRIPTION, _EXAMPLE)
    parser.usage = "keras-wsseg train DATA --out RUN [--resume] [--recipe NAME] [--NAME VALUE ...]"
    chosen = parser.add_argument_group("run")
    chosen.add_argument("data", metavar="DATA", help="folder with images/ and the annotations")
    chosen.add_argument(
        "--out", required=True, metavar="RUN", help="run folder: config, logs, images, segmenter"
    )
    chosen.add_argument(
        "--resume",
        action="store_true",
        help="go on with the training in RUN; its settings need not be typed again",
    )
    add_recipe(chosen)
    parser.set_defaults(run=run)


def run(arguments):
    """Trains, scores, and says what to type next."""
    from keras_wsseg.training.run_folder import RunFolder

    folder = RunFolder(arguments.out)
    if arguments.resume:
        config, notes = _begun(folder, arguments), []
    else:
        config, notes = config_for(arguments.data, arguments.recipe, given_changes(arguments))
        folder.settings(config, resume=False)
    if folder.finished:
        notes.append(f"The training in {arguments.out} is finished already.")
    for note in notes:
        print(note)
    try:
        console.load_keras()
        from keras_wsseg.training import train

        train(
            config,
            arguments.out,
            resume=arguments.resume,
            verbose=console.training_verbosity(),
            progress=console.progress("scoring"),
        )
    except KeyboardInterrupt:
        return console.interrupted(console.again("train", arguments, folder.config.is_file()))
    _report(folder, arguments.out)
    return 0


def _begun(folder, arguments):
    """The settings of the folder, with those typed now: where they differ, the folder will say so."""
    begun = folder.settings(None, resume=True)
    check_data_folder(arguments.data, images=begun.data["class_name"] == "SegmentationFolder")
    return folder.settings(begun.replace(changes_to(begun, arguments)), resume=True)


def _report(folder, out):
    scores = folder.read_scores()
    if scores is not None:
        console.print_scores(scores)
    print(f"Segmenter: {folder.segmenter}")
    if folder.images.is_dir():
        print(f"Images of what it learned, epoch by epoch: {folder.images}")
    name = pathlib.Path(out).resolve().name
    print("Next, make one file of it that runs without Keras or TensorFlow:")
    print(f"  {console.own_command()} export {shlex.quote(str(out))} {shlex.quote(name + '.onnx')}")
