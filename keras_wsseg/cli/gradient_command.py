"""`keras-wsseg gradient`."""

import functools
import pathlib

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.cli import console
from keras_wsseg.cli.images import check_out, find_images
from keras_wsseg.cli.options import add_argument_of, add_command, add_values
from keras_wsseg.cli.segmenters import KerasSegmenter, check_channels, load_keras_model, load_segmenter
from keras_wsseg.imaging.file_names import image_name
from keras_wsseg.imaging.suffixes import LABEL_SUFFIXES
from keras_wsseg.training.parts import LOSSES

_DESCRIPTION = """
Paints what a loss asks of a segmenter: for each class the gradient of the loss with respect to its
probability, red where it asks for more of the class and yellow where for less. It needs a segmenter and
images.
"""

_EXAMPLE = """
keras-wsseg gradient runs/hearts hearts/images/one.png --out gradients
keras-wsseg gradient hearts.onnx 'new/*.png' --loss DenseCRFLoss --show change --out gradients
"""

_FROM_LABELS = ("PartialCrossEntropy", "BalancedCrossEntropy")


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "gradient", "paint the gradient of a loss", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("segmenter", metavar="SEGMENTER", help="run folder, .keras file or .onnx file")
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="images, folders of them, or patterns: 'a/*.jpg'"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for a NAME.png for each image")
    parser.add_argument(
        "--loss",
        choices=LOSSES,
        metavar="CLASS",
        help="a loss by its class, with the defaults of that, such as DenseCRFLoss "
        "(default: the last term of the loss that the run was trained with)",
    )
    parser.add_argument(
        "--labels",
        metavar="DIR",
        help="label maps NAME.png of the images: annotations for the cross entropy, and which pixels are "
        "outside the image",
    )
    add_values(parser)
    shared = functools.partial(add_argument_of, parser, "visualization", "gradient_sheet")
    shared("classes", metavar="N,N,...")
    parser.add_argument(
        "--show",
        default="gradient",
        choices=("gradient", "change"),
        help="gradient: the whole of it; change: where the prediction is not yet what the loss asks for "
        "(default: gradient)",
    )
    shared("percentile", type=float)
    shared("limit", type=float)
    parser.set_defaults(run=run)


def run(arguments):
    """Paints all that can be, then lists the rest."""
    out = pathlib.Path(arguments.out)
    images = find_images(arguments.inputs)
    check_out(out, images, "sheets")
    classes = _class_ids(arguments.classes)
    check_number("--percentile", arguments.percentile, above=0, high=100)
    folder = None if arguments.labels is None else pathlib.Path(arguments.labels)
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"--labels must be a folder. Received: {str(folder)!r}")
    segmenter, config = _load(arguments.segmenter)
    if config is None and arguments.loss is None:
        raise ValueError("--loss must be given where the segmenter is no run folder's. Received: none")
    kind = arguments.loss or config.terms[-1]
    if kind in _FROM_LABELS and folder is None:
        raise ValueError(
            f"--labels must be given where the loss is {kind}, which reads nothing else. Received: none"
        )
    if kind == "AdaptivePriorLoss":
        raise ValueError(f"--loss must not be {kind}, which reads tags of images. Received: {kind}")
    check_channels(segmenter)
    for number in classes or ():
        check_integer("--classes", number, low=0, high=len(segmenter.class_names) - 1)
    console.load_keras()
    from keras_wsseg import losses
    from keras_wsseg.data.label_files import LabelReader
    from keras_wsseg.data.listing import files_by_stem
    from keras_wsseg.imaging import read_image, write_png
    from keras_wsseg.imaging.label_values import resolve_values
    from keras_wsseg.training.build import build_terms, python_arguments

    labels = {} if folder is None else files_by_stem(folder, ".", LABEL_SUFFIXES)
    values = arguments.values
    if values is None and config is not None:
        values = python_arguments(config.data["config"]).get("values")
    reader = LabelReader(resolve_values(values, segmenter.class_names)[0])
    # Widths and weights that suit one loss mean nothing to another.
    own = arguments.loss in (None, config and config.terms[-1])
    loss = build_terms(config)[-1] if own else getattr(losses, arguments.loss)()
    failed = {}
    for path in console.progress("painting")(images):
        name = image_name(path)
        try:
            image = read_image(path, segmenter.channels, segmenter.value_range)
            file = labels.get(name, None if folder is None else folder / f"{name}.png")
            annotation = None if file is None else reader.read(file)
            sheet = _painted(segmenter, loss, image, annotation, classes, arguments, f"{name}, {loss.name}")
            write_png(out / f"{name}.png", sheet)
        except (ValueError, TypeError, OSError) as error:
            failed[path] = error
    print(f"{len(images) - len(failed)} of {len(images)} sheets in {out}")
    return console.tell_failed("painted", failed)


def _class_ids(text):
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--classes must be ids of classes, N,N,... Received: {text!r}") from None


def _load(path):
    """The segmenter, and the settings it was trained with or None."""
    if pathlib.Path(path).suffix.lower() == ".onnx":
        return load_segmenter(path), None
    model, class_names, config = load_keras_model(path)
    # Of a training of version 0.1 the loss is not known in full.
    return KerasSegmenter(model, class_names), config if hasattr(config, "terms") else None


def _painted(segmenter, loss, image, annotation, classes, arguments, caption):
    from keras_wsseg.visualization import gradient_sheet

    # On the grid of the logits where that is known.
    from_logits = isinstance(segmenter, KerasSegmenter)
    prediction = segmenter.logits(image) if from_logits else segmenter.probabilities(image)
    return gradient_sheet(
        loss,
        image,
        annotation,
        prediction,
        classes=classes,
        class_names=segmenter.class_names,
        palette=segmenter.palette,
        from_logits=from_logits,
        value_range=segmenter.value_range,
        show=arguments.show,
        percentile=arguments.percentile,
        limit=arguments.limit,
        caption=caption,
    )
