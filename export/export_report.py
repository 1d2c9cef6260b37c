"""The result of an export."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """How closely an exported file agrees with its Keras model.

    `to_onnx`, `to_saved_model` and `to_litert` return it after running both on the same images; its `str()`
    is one line for a log.

    Args:
        path: the file, or the folder of a SavedModel.
        sizes: the `(height, width)` at which both were compared.
        max_difference: largest absolute difference of a probability.
        mean_difference: mean absolute difference of the probabilities.
        equal_classes: fraction of pixels with the same class, 0 to 1.
        file_size: size of the file in bytes.
        opset: version of the ONNX operators, None for other formats.
        precision: `float32`, `float16` or `int8`, which is compared with Keras in float32.
        format: `ONNX`, `SavedModel` or `LiteRT`.
        stage_difference: the largest of the separate differences of the segmenter up to a CRF, of the CRF on
            the same logits, and of what follows, as probabilities and as a fraction of the largest logit;
            None without a CRF. Since a CRF amplifies rounding, the limit applies to this one.

    Example:

    >>> print(ExportReport(pathlib.Path("a.onnx"), ((64, 48),), 2e-6, 1e-7, 1.0, 2_000_000, 15))
    a.onnx: 2.0 MB, float32, opset 15, as in Keras to 2.0e-06 (mean 1.0e-07), 100.00 % equal classes at 64x48
    >>> print(ExportReport(pathlib.Path("a"), ((64, 48),), 2e-6, 1e-7, 1.0, 2_000_000, format="SavedModel"))
    a: 2.0 MB, float32, SavedModel, as in Keras to 2.0e-06 (mean 1.0e-07), 100.00 % equal classes at 64x48
    """

    path: pathlib.Path
    sizes: tuple
    max_difference: float
    mean_difference: float
    equal_classes: float
    file_size: int
    opset: int | None = None
    precision: str = "float32"
    format: str = "ONNX"
    stage_difference: float | None = None

    def __str__(self):
        sizes = ", ".join(f"{height}x{width}" for height, width in self.sizes)
        form = self.format if self.opset is None else f"opset {self.opset}"
        stages = "" if self.stage_difference is None else f", {self.stage_difference:.1e} by stages"
        return (
            f"{self.path}: {self.file_size / 1e6:.1f} MB, {self.precision}, {form}, as in Keras "
            f"to {self.max_difference:.1e} (mean {self.mean_difference:.1e}{stages}), "
            f"{100 * self.equal_classes:.2f} % equal classes at {sizes}"
        )


def report_of(path, reference, differences, file_size, **kind):
    """The report of an export that was compared with Keras.

    Args:
        path: the file or folder.
        reference: `parity.Reference`.
        differences: `parity.Differences`.
        file_size: in bytes.
        **kind: `opset`, `precision` and `format` of `ExportReport`.

    Returns:
        `ExportReport`.
    """
    return ExportReport(
        path,
        reference.sizes,
        differences.largest,
        differences.mean,
        differences.equal_classes,
        file_size,
        stage_difference=differences.in_stages,
        **kind,
    )
