"""The common part of all exports: validates arguments, adds post-processing, and runs it in Keras."""

import dataclasses
import pathlib

import numpy as np

from keras_wsseg.arguments import check_integer, check_value_range
from keras_wsseg.export import parity, source
from keras_wsseg.export.augmentation import describe_augmentation, read_augmentation
from keras_wsseg.export.crf import built_crf, check_crf, describe_crf
from keras_wsseg.export.deployment import Deployment, GraphForm
from keras_wsseg.export.metadata import WRITTEN_BY_EXPORT, SegmenterMetadata
from keras_wsseg.export.random_images import random_image, sizes_to_check
from keras_wsseg.export.saved_model_folder import check_saved_model
from keras_wsseg.imaging.labels import MOST_CLASSES
from keras_wsseg.imaging.palette import class_palette

INPUT_DTYPES = ("float32", "uint8")
# Number of calibration images on which Keras and a file are compared.
COMPARED = 4


@dataclasses.dataclass(frozen=True)
class Preparation:
    """All that an export needs for the conversion.

    Args:
        deployment: `Deployment` in float32.
        form: `GraphForm`.
        reference: `parity.Reference`.
        about: `SegmenterMetadata`.
    """

    deployment: Deployment
    form: GraphForm
    reference: parity.Reference
    about: SegmenterMetadata


def prepare(segmenter, path, options, calibration=None, folder=False):
    """Validates the arguments of an export and runs the segmenter in Keras.

    Args:
        segmenter: as in `to_onnx`.
        path: file or folder to write.
        options: `ExportOptions`.
        calibration: `CalibrationImages` to compare on instead of random images, or None.
        folder: whether a SavedModel is to be written, which is a folder.

    Returns:
        `Preparation`.

    Raises:
        TypeError, ValueError, FileNotFoundError: as in `to_onnx`.
    """
    check_place(path, folder)
    value_range, dtype, crf = _value_range(segmenter, options.value_range), options.input_dtype, options.crf
    _check_input_dtype(dtype, value_range)
    flip, scales = read_augmentation(options.tta)
    if crf is not None:
        check_crf(crf, value_range)
    extra = {**_method(segmenter), **_given(options.metadata)}
    probabilities = source.find_probabilities(segmenter)
    segmenter = source.in_float32(source.find_segmenter(segmenter))
    shape = _at_size(source.image_shape(segmenter), options.size, scales)
    if calibration is None:
        images = _random_images(shape, sizes_to_check(shape, options.check_sizes), value_range, dtype)
    else:
        images = list(calibration.few(COMPARED).batches(shape, value_range, dtype))
    resize = parity.comes_coarser(segmenter, images) or _comes_coarser_at_odd_sizes(segmenter, shape)
    if probabilities is None:
        probabilities = parity.sums_to_one(segmenter, images)
    deployment = Deployment(segmenter, resize, None, flip, scales, probabilities)
    classes = parity.run_keras(deployment, images[:1]).probabilities[0].shape[-1]
    if crf is not None:
        crf = built_crf(crf, classes, shape.channels)
        deployment = dataclasses.replace(deployment, crf=crf)
        extra["crf"] = describe_crf(crf)
    if deployment.augmented:
        extra["tta"] = describe_augmentation(flip, scales)
    extra["input_dtype"] = dtype
    about = _describe(classes, options.class_names, options.palette, value_range, shape.channels, extra)
    form = GraphForm(shape, dtype, classes <= MOST_CLASSES)
    return Preparation(deployment, form, parity.run_keras(deployment, images), about)


def check_place(path, folder=False):
    """Rejects a path that cannot be written.

    Args:
        path: file or folder to write.
        folder: whether a SavedModel is to be written, which is a folder.

    Raises:
        FileNotFoundError: if its parent folder does not exist.
        ValueError: if something of another kind exists there.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path` must lie in an existing folder. Received: path={path}")
    if folder:
        check_saved_model(path)
    elif path.is_dir():
        raise ValueError(f"`path` must be a file. Received: path={path} which is a folder")


def _check_input_dtype(input_dtype, value_range):
    if input_dtype not in INPUT_DTYPES:
        raise ValueError(
            f"`input_dtype` must be one of {', '.join(INPUT_DTYPES)}. Received: input_dtype={input_dtype!r}"
        )
    if input_dtype == "uint8" and value_range != (0.0, 255.0):
        raise ValueError(
            '`input_dtype="uint8"` needs a segmenter of images in (0, 255). '
            f"Received: value_range={value_range}"
        )


def _given(metadata):
    if metadata is not None and not isinstance(metadata, dict):
        raise TypeError(
            f"`metadata` must be a dict from string to string. Received: metadata={metadata!r} of type "
            f"{type(metadata).__name__}"
        )
    for name in WRITTEN_BY_EXPORT:
        if name in (metadata or {}):
            raise ValueError(
                f"`metadata` must not hold {', '.join(WRITTEN_BY_EXPORT)}, which the export writes itself. "
                f"Received: metadata={{{name!r}: {metadata[name]!r}}}"
            )
    return metadata or {}


def _at_size(shape, size, scales):
    """The shape of the images that the graph takes, which may be more specific than the segmenter's."""
    if (shape.height or shape.width) and scales != (1.0,):
        raise ValueError(
            "`tta` must not scale images for a segmenter of a fixed size. "
            f"Received: scales={scales} and a segmenter of {shape.height} x {shape.width} pixels"
        )
    if size is None:
        return shape
    sizes = size if isinstance(size, list | tuple) else (size, size)
    try:
        height, width = (
            check_integer("size", n, low=limit or 1, high=limit)
            for n, limit in zip(sizes, (shape.height, shape.width), strict=True)
        )
    except ValueError as error:
        raise ValueError(
            f"`size` must be None, or pixels or (height, width) that the segmenter takes, which are "
            f"{(shape.height, shape.width)} where None is any. Received: size={size}"
        ) from error
    return dataclasses.replace(shape, height=height, width=width)


def _comes_coarser_at_odd_sizes(segmenter, shape):
    """Calibration images may all have sizes that the strides divide, unlike later ones."""
    if shape.height and shape.width:
        return False
    try:
        images = _random_images(shape, sizes_to_check(shape, None), (0.0, 1.0), "float32")
        return parity.comes_coarser(segmenter, images)
    except ValueError:
        # A segmenter that does not take such sizes needs no resizing for them.
        return False


def _random_images(shape, sizes, value_range, dtype):
    generator = np.random.default_rng(0)
    return [
        random_image(
            generator,
            (shape.batch or (1 if index else 2), *size, shape.channels),
            value_range,
            dtype,
        )
        for index, size in enumerate(sizes)
    ]


def _value_range(model, value_range):
    if value_range is None:
        value_range = source.find_value_range(model) or (0.0, 255.0)
    low, high = check_value_range(value_range)
    return float(low), float(high)


def _method(model):
    name = getattr(getattr(model, "loss", None), "name", None)
    return {"method": name} if isinstance(name, str) and name else {}


def _describe(classes, class_names, palette, value_range, channels, extra):
    if class_names is None:
        class_names = [f"class {number}" for number in range(classes)]
    if not isinstance(class_names, list | tuple):
        raise TypeError(
            f"`class_names` must be a list of strings. Received: class_names={class_names!r} of type "
            f"{type(class_names).__name__}"
        )
    if len(class_names) != classes:
        raise ValueError(
            f"`class_names` must name the {classes} classes of the segmenter. "
            f"Received: class_names={list(class_names)}"
        )
    if palette is None:
        colors = class_palette(min(classes, MOST_CLASSES))
        palette = [colors[number % len(colors)] for number in range(classes)]
    palette = tuple(tuple(int(x) if x == int(x) else x for x in color) for color in palette)
    return SegmenterMetadata(tuple(class_names), palette, value_range, channels, extra)
