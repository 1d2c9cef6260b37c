"""`keras-wsseg class-by-class`."""

import pathlib
import shlex
import sys

from keras_wsseg.cli import console
from keras_wsseg.cli.options import add_command, add_settings, fields, given_settings, parse_value
from keras_wsseg.training.config import TrainingConfig
from keras_wsseg.training.method_settings import DENSE, GATED

_DESCRIPTION = """
Learns several classes from images that nobody has labeled, only sorted: DATA/positives/cat/ holds images
of cats, DATA/positives/dog/ of dogs (an image of both lies in both), DATA/negatives/ images of neither,
where there are any. A net a class learns to find its object; the nets' masks become labels in
RUN/dataset/pseudo/, to be looked at; a segmenter of all classes learns from those. With images/, labels/ and
val.txt in DATA too, it is scored: 0 in labels/ is the background, then come the classes in the order of
DATA/classes.txt, or of their names where there is none.

The options are those of the nets (see keras-wsseg train --help); --final sets those of the segmenter.
"""

_EXAMPLE = """
keras-wsseg class-by-class pets --out runs/pets --model umobilenetv2 --weights imagenet --crop 128 \\
    --final model=deeplabv3plus --final backbone=resnet101 --final weights=imagenet --final steps=20000
keras-wsseg class-by-class pets --out runs/pets --resume
"""

# Of no effect on nets that read no annotation and are not scored.
_WITHOUT_EFFECT = {
    *("click_size", "stuff_classes", "instances", "scribble_length", "labeled_fraction", "unlabeled_split"),
    *("unlabeled_batch", "group_by", "steps", "whole", "scale_low", "scale_high", "class_weights"),
    *("sigma_xy", "loss_scale", "warm_up", "ramp", "score_crf", "label_values"),
    *(field.name for field in fields() if field.metadata["group"] in (GATED, DENSE)),
}

# Set by the pipeline itself.
_OWN = ("method", "positives", "object_name", "negatives", "annotation", "values", "train_split", "val_split")


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
        help="an option of train for the segmenter of all classes, whose method is pce unless set here",
    )
    add_settings(parser, leave_out={*_OWN, *_WITHOUT_EFFECT})
    parser.set_defaults(run=run)


def run(arguments):
    """Trains the nets, writes their masks, trains the segmenter."""
    data = pathlib.Path(arguments.data)
    if not data.is_dir():
        raise FileNotFoundError(f"DATA must be a folder with positives/<class>/. Received: {str(data)!r}")
    given, final = given_settings(arguments), parse_final(arguments.final)
    given["data"] = final["data"] = str(data.resolve())
    try:
        console.load_keras()
        from keras_wsseg.training import ClassByClassFolder, train_class_by_class

        begun = ClassByClassFolder(arguments.out)
        if arguments.resume and begun.begun:
            nets, last = begun.read()
            nets, last = nets.replace(**given), last.replace(**final)
        else:
            nets = TrainingConfig(method="single-class", val_split=None, **given)
            last = TrainingConfig(**{"method": "pce", "annotation": "pseudo", **final})
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
        again = f"keras-wsseg class-by-class {shlex.quote(arguments.data)} --out {shlex.quote(arguments.out)}"
        print(f"\nkeras-wsseg: interrupted; go on with: {again} --resume", file=sys.stderr)
        return 130
    scores = run.read_scores()
    if scores is not None:
        console.print_scores(scores)
    print(f"Labels out of the nets' masks: {pathlib.Path(arguments.out) / 'dataset' / 'pseudo'}")
    print(f"Segmenter: {run.segmenter}")
    return 0


def parse_final(texts):
    """The settings by name out of `NAME=VALUE` each.

    Raises:
        ValueError: if a name is no setting or set by the pipeline, or a value is not one of it.
    """
    known, settings = {field.name: field for field in fields()}, {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals:
            raise ValueError(f"--final must be NAME=VALUE. Received: {text!r}")
        if name not in known:
            raise ValueError(f"--final must name an option of `keras-wsseg train`. Received: {name!r}")
        if name in _OWN and name != "method":
            raise ValueError(f"--final cannot set {name}, which follows from DATA. Received: {text!r}")
        settings[name] = parse_value(known[name], value)
    return settings
