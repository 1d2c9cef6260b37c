"""`keras-wsseg gradient`."""

import pathlib
import sys

from keras_wsseg.cli import console
from keras_wsseg.cli.images import check_out, find_images
from keras_wsseg.cli.options import add_command, add_setting
from keras_wsseg.cli.segmenters import KerasSegmenter, load_keras_model, load_segmenter
from keras_wsseg.imaging.file_names import image_name
from keras_wsseg.imaging.suffixes import LABEL_SUFFIXES
from keras_wsseg.training.common_settings import METHODS
from keras_wsseg.training.config import TrainingConfig

_DESCRIPTION = """
Paints what a loss asks of a segmenter: for each class the gradient of the loss with respect to its
probability, red where it asks for more of the class and yellow where for less. It needs a segmenter and
images.
"""

_EXAMPLE = """
keras-wsseg gradient runs/hearts hearts/images/one.png --out gradients
keras-wsseg gradient hearts.onnx 'new/*.png' --loss dense-crf --kind change --out gradients
"""


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
        choices=METHODS,
        metavar="{" + ",".join(METHODS) + "}",
        help="the regularized loss of this method with its default settings, the cross entropy for pce and "
        "full; by default the one that the run was trained with, and its settings",
    )
    parser.add_argument(
        "--labels",
        metavar="DIR",
        help="label maps NAME.png of the images: annotations for the cross entropy, and which pixels are "
        "outside the image",
    )
    add_setting(parser, "values")
    parser.add_argument(
        "--classes", metavar="N,N,...", help="ids of the classes to show (default: those predicted)"
    )
    parser.add_argument(
        "--kind",
        default="gradient",
        choices=("gradient", "change"),
        help="gradient: the whole of it; change: where the prediction is not yet what the loss asks for "
        "(default: gradient)",
    )
    parser.add_argument(
        "--percentile",
        type=float,
        default=99.0,
        metavar="X",
        help="full color at this percentile of an image's gradients (default: 99.0)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        metavar="X",
        help="full color at this gradient instead, the same for all images",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Paints all that can be, then lists the rest."""
    out = pathlib.Path(arguments.out)
    images = find_images(arguments.inputs)
    check_out(out, images, "sheets")
    classes = _class_ids(arguments.classes)
    folder = None if arguments.labels is None else pathlib.Path(arguments.labels)
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"--labels must be a folder. Received: {str(folder)!r}")
    segmenter, config = _load(arguments.segmenter)
    values = getattr(arguments, "values", () if config is None else config.values_of_annotation)
    config = _settings(arguments.loss, config)
    if config.method in ("pce", "full") and folder is None:
        raise ValueError(
            "--labels must be given where the loss is the cross entropy, which reads nothing else. "
            "Received: none"
        )
    if config.method == "tags-prior" and not config.regularized:
        raise ValueError(
            "the loss must have a neighborhood term to paint: the prior reads tags, which are not given. "
            "Received: neighborhood='none'"
        )
    if segmenter.channels not in (1, 3):
        raise ValueError(
            f"The segmenter must take gray or RGB images. Received: {segmenter.channels} channels"
        )
    console.load_keras()
    from keras_wsseg.data.label_files import LabelReader
    from keras_wsseg.data.listing import files_by_stem
    from keras_wsseg.imaging import read_image, write_png
    from keras_wsseg.imaging.label_values import parse_values, resolve_values
    from keras_wsseg.training.build import build_loss, build_regularized_loss

    labels = {} if folder is None else files_by_stem(folder, ".", LABEL_SUFFIXES)
    reader = LabelReader(resolve_values(parse_values(values), segmenter.class_names)[0])
    loss = build_regularized_loss(config) if config.regularized else build_loss(config)[0]
    failed = []
    for path in console.progress("painting")(images):
        name = image_name(path)
        try:
            image = read_image(path, segmenter.channels, segmenter.value_range)
            file = labels.get(name, None if folder is None else folder / f"{name}.png")
            annotation = None if file is None else reader.read(file)
            sheet = _painted(
                segmenter, loss, image, annotation, classes, arguments, f"{name}, {config.method}"
            )
            write_png(out / f"{name}.png", sheet)
        except (ValueError, TypeError, OSError) as error:
            failed.append((path, " ".join(str(error).split())))
    print(f"{len(images) - len(failed)} of {len(images)} sheets in {out}")
    for path, reason in failed:
        print(f"keras-wsseg: not painted: {path}: {reason}", file=sys.stderr)
    return 1 if failed else 0


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
    return KerasSegmenter(model, class_names), config


def _settings(method, config):
    """The settings of the loss: the run's own, or defaults where another method is asked for."""
    if config is None and method is None:
        raise ValueError("--loss must be given where the segmenter is no run folder's. Received: none")
    if config is None or method not in (None, config.method):
        # Widths and weights that suit one method mean nothing to another.
        return TrainingConfig(data="." if config is None else config.data, method=method)
    return config


def _painted(segmenter, loss, image, annotation, classes, arguments, caption):
    from keras_wsseg.visualization import gradient_sheet

    prediction, from_logits = _prediction(segmenter, image)
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
        show=arguments.kind,
        percentile=arguments.percentile,
        limit=arguments.limit,
        caption=caption,
    )


def _prediction(segmenter, image):
    """`(prediction, whether it holds logits)`, on the grid of the logits where that is known."""
    if not isinstance(segmenter, KerasSegmenter):
        return segmenter.probabilities(image), False
    return segmenter.logits(image), True
