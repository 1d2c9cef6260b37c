"""`keras-wsseg class-by-class`."""

import pathlib

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import changes_to
from keras_wsseg.cli.options import add_command, add_recipe, given_changes, parse_changes, shown
from keras_wsseg.training.config import TrainingConfig

_DESCRIPTION = """
Learns several classes from images that nobody has labeled, only sorted. It needs a folder with images of cats
in positives/cat/, of dogs in positives/dog/ (an image of both lies in both), and of neither in negatives/,
where there are any. One net per class learns to find its object; the nets' masks become labels in
RUN/dataset/pseudo/, to be looked at; a segmenter of all classes learns from those. With images/, labels/ and
val.txt in DATA too, it is scored: 0 in labels/ is the background, then come the classes in the order of
DATA/classes.txt, or of their names where there is none.

The options are those of the nets (see keras-wsseg train --recipe single-class --help); --final sets those
of the segmenter, whose recipe is scribbles without the CRF loss unless set here.
"""

_EXAMPLE = """
keras-wsseg class-by-class pets --out runs/pets --segmenter UMobileNetV2 --segmenter.weights imagenet \\
    --image_size 128 --final segmenter=DeepLabV3Plus --final segmenter.weights=imagenet --final steps=20000
keras-wsseg class-by-class pets --out runs/pets --resume
"""

_OF_NETS = (
    "data.positives",
    "data.negatives",
    "data.object_name",
    "data.split",
    "validation",
    "validation.split",
)
_OF_FINAL = ("data", "data.root", "data.annotation", "data.split", "validation", "validation.split")


def add_to(commands):
    """Adds the command."""
    parser = add_command(
        commands, "class-by-class", "several classes from sorted images", _DESCRIPTION, _EXAMPLE
    )
    parser.usage = "keras-wsseg class-by-class DATA --out RUN [--resume] [--final NAME=VALUE] [options]"
    chosen = parser.add_argument_group("run")
    chosen.add_argument("data", metavar="DATA", help="folder with positives/<class>/")
    chosen.add_argument("--out", required=True, metavar="RUN", help="folder for nets, labels and segmenter")
    chosen.add_argument(
        "--resume",
        action="store_true",
        help="go on with the training in RUN; its settings need not be typed again",
    )
    chosen.add_argument(
        "--final",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of train for the segmenter of all classes",
    )
    add_recipe(chosen, "single-class")
    parser.set_defaults(run=run)


def run(arguments):
    """Trains the nets, writes their masks, trains the segmenter."""
    data = pathlib.Path(arguments.data)
    if not data.is_dir():
        raise FileNotFoundError(f"DATA must be a folder with positives/<class>/. Received: {str(data)!r}")
    given, final = given_changes(arguments), parse_final(arguments.final)
    for changes, fixed in ((given, _OF_NETS), (final, _OF_FINAL)):
        for name in changes:
            if name in fixed:
                raise ValueError(
                    f"{name} follows from DATA here, and cannot be set. Received: {shown(changes[name])}"
                )
    try:
        console.load_keras()
        from keras_wsseg.training import ClassByClassFolder, train_class_by_class

        begun = ClassByClassFolder(arguments.out)
        if arguments.resume and begun.begun:
            nets, last = begun.read()
            nets, last = nets.replace(changes_to(nets, arguments)), last.replace(final)
        else:
            root = data.resolve()
            nets = TrainingConfig.from_recipe(arguments.recipe, root, {"validation": None, **given})
            last = TrainingConfig.from_recipe("scribbles", root, {"loss": None, **final})
        run = train_class_by_class(
            nets,
            last,
            arguments.out,
            arguments.resume,
            console.training_verbosity(),
            console.progress("images"),
            lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        written = (pathlib.Path(arguments.out) / "final.json").is_file()
        return console.interrupted(console.again("class-by-class", arguments, written))
    scores = run.read_scores()
    if scores is not None:
        console.print_scores(scores)
    print(f"Labels out of the nets' masks: {pathlib.Path(arguments.out) / 'dataset' / 'pseudo'}")
    print(f"Segmenter: {run.segmenter}")
    return 0


def parse_final(texts):
    """The changes by name out of `NAME=VALUE` each.

    Raises:
        ValueError: if a text is something else.
    """
    pairs = [text.partition("=") for text in texts]
    for text, (_, equals, _) in zip(texts, pairs, strict=True):
        if not equals:
            raise ValueError(f"--final must be NAME=VALUE. Received: {text!r}")
    return parse_changes({name.strip().lstrip("-").replace("-", "_"): value for name, _, value in pairs})
