"""Options that the three exports share."""

import dataclasses

from keras_wsseg.export.limits import limits_of


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """The contents of an exported segmenter, and how closely it must agree with Keras.

    `to_onnx`, `to_saved_model` and `to_litert` take one as `options`, or its fields as keyword arguments,
    which take precedence: `to_onnx(segmenter, "a.onnx", class_names=names)`. One object can be used for
    several exports of a segmenter.

    Args:
        class_names: one string for each class; `class 0`, `class 1`, … by default.
        palette: one `(red, green, blue)` of 0 to 255 for each class; by default the colors used for images
            during training, `visualization.class_palette`.
        value_range: `(low, high)` of the images; by default what the segmenter or one of its layers
            declares as `value_range`, else (0, 255).
        metadata: further strings by name for the file, such as `{"method": "gated CRF"}`. Without a `method`,
            the name of the loss that the model was compiled with is written.
        crf: `layers.MeanFieldCRF` with a radius to append to the segmenter in the file, or None. In LiteRT it
            requires `size`.
        tta: test-time augmentation: None, or `{"flip": True, "scales": (0.75, 1, 1.25)}`, or either one
            alone, for the mean probability over the mirrored image and the image at other sizes. Inference
            takes as many times longer as there are views.
        size: None for images of any size, or the only size, an integer or `(height, width)` in pixels, for
            runtimes that require a fixed one; the batch size stays free.
        input_dtype: `"float32"`, or `"uint8"` for images in (0, 255): a quarter of the memory, and no
            conversion before the graph.
        check_sizes: list of `(height, width)` at which Keras and the file are compared on random images;
            by default two sizes that no power of two divides in both dimensions, or the size that a fixed
            model takes. With `calibration` of `to_onnx` they are compared on four of its images instead.
        tolerance: largest absolute difference allowed between a probability in Keras, always in float32, and
            in the file's own runtime; by default 1e-4 in float32, 0.1 in float16, and none in int8, where
            single pixels at a border may change class. A CRF amplifies the last digit of a logit, so with
            one, in `crf` or inside the segmenter, the limit applies separately to the logits that enter the
            CRF, to the CRF on the same logits, to what follows, and to the mean difference of the whole. A
            trained segmenter stays below it; one with logits in the hundreds, such as a deep network whose
            batch normalization never saw data, exceeds the resolution of float32.
        mean_tolerance: largest mean difference of the probabilities; by default none in float32, 0.01 in
            float16, 0.1 in int8.
        min_equal_classes: smallest fraction of pixels whose class is the same, or equally probable in Keras
            to within 2e-4; by default 0.999 in float32, 0.98 in float16, 0.9 in int8.

    Raises:
        ValueError: if a limit is not a number or is out of range. All else is validated by the export, which
            knows the segmenter.

    Example:

    >>> ExportOptions(class_names=("background", "cell"), size=(256, 256)).input_dtype
    'float32'
    """

    class_names: list | tuple | None = None
    palette: object = None
    value_range: tuple | None = None
    metadata: dict | None = None
    crf: object = None
    tta: dict | None = None
    size: int | tuple | None = None
    input_dtype: str = "float32"
    check_sizes: list | None = None
    tolerance: float | None = None
    mean_tolerance: float | None = None
    min_equal_classes: float | None = None

    def __post_init__(self):
        self.limits("float32")

    def limits(self, precision):
        """The `Limits` of a file whose network has this precision."""
        return limits_of(precision, self.tolerance, self.mean_tolerance, self.min_equal_classes)


def with_fields(options, fields):
    """Merges `options` and keyword arguments of an export.

    Args:
        options: `ExportOptions`, or None for the defaults.
        fields: dictionary of keyword arguments, which take precedence.

    Raises:
        TypeError: if `options` is anything else, or a field does not exist.

    Example:

    >>> with_fields(ExportOptions(size=64), {"input_dtype": "uint8"}).size
    64
    """
    if options is None:
        options = ExportOptions()
    if not isinstance(options, ExportOptions):
        raise TypeError(
            "`options` must be ExportOptions, or None with its fields as keyword arguments. "
            f"Received: options={options!r}"
        )
    known = [field.name for field in dataclasses.fields(ExportOptions)]
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise TypeError(
            f"An export takes {', '.join(known)} besides its own arguments. "
            f"Received: {unknown[0]}={fields[unknown[0]]!r}"
        )
    return dataclasses.replace(options, **fields)
