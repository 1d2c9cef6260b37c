"""`keras-wsseg train`."""

import os
import pathlib
import shlex
import sys

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import WITHOUT_LABELS, check_data_folder, settings_for
from keras_wsseg.cli.options import add_command, add_settings, given_settings

_DESCRIPTION = """
Trains a segmenter on the annotated pixels of your images, and with the gated CRF on all the others. It
needs a folder with images/ and scribbles/ (or clicks/, labels/) of the same file names; with train.txt,
val.txt and labels/ in it too, it scores what it learned. --method single-class needs no annotation, only
images that hold one kind of object each; tags-prior and rrm need tags.csv, which says what is in each.
"""

_EXAMPLE = """
keras-wsseg train hearts --out runs/hearts --steps 2000
keras-wsseg train hearts --out runs/hearts --resume       # after Ctrl-C or a power cut
keras-wsseg train horses --method single-class --model umobilenetv2 --weights imagenet --crop 128 \\
    --batch-size 16 --out runs/horses
keras-wsseg train voc --method rrm --model two-branch --backbone resnet38 --weights resnet38.weights.h5 \
    --encoder-rate 0.1 --crop 321 --out runs/voc
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "train", "train a segmenter on a folder", _DESCRIPTION, _EXAMPLE)
    parser.usage = "keras-wsseg train DATA --out RUN [--resume] [options]"
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
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments):
    """Trains, scores, and says what to type next."""
    from keras_wsseg.training.run_folder import RunFolder

    folder = RunFolder(arguments.out)
    if arguments.resume:
        config, notes = _begun(folder, arguments), []
    else:
        if folder.config.is_file():
            raise FileExistsError(
                f"There is a training in {arguments.out!r} already: add --resume to go on with it, "
                "or choose another --out."
            )
        config, notes = settings_for(arguments.data, given_settings(arguments))
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
        print(f"\nkeras-wsseg: interrupted; {_how_to_go_on(folder, arguments)}", file=sys.stderr)
        return 130
    _report(folder, arguments.out)
    return 0


def _begun(folder, arguments):
    """The settings of the folder, with those typed now: where they differ, the folder will say so."""
    begun = folder.settings(None, resume=True)
    check_data_folder(arguments.data, images=begun.method not in WITHOUT_LABELS)
    typed = given_settings(arguments)
    if pathlib.Path(begun.data).resolve() != pathlib.Path(arguments.data).resolve():
        typed["data"] = os.fspath(arguments.data)
    return folder.settings(begun.replace(**typed), resume=True)


def _how_to_go_on(folder, arguments):
    if not folder.config.is_file():
        return "nothing was written yet, so type the same command again"
    data, out = shlex.quote(arguments.data), shlex.quote(arguments.out)
    return f"go on with: keras-wsseg train {data} --out {out} --resume"


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
