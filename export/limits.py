"""Limits on the difference between an exported file and Keras."""

import dataclasses

from keras_wsseg.arguments import check_number


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far a file may be from Keras; None means no limit.

    Args:
        tolerance: largest absolute difference of a probability. With a CRF it applies to each stage
            separately, since a CRF amplifies rounding, and to the mean of the whole.
        mean_tolerance: mean absolute difference of the probabilities.
        min_equal_classes: fraction of pixels whose class is the same, 0 to 1.
    """

    tolerance: float | None
    mean_tolerance: float | None
    min_equal_classes: float | None

    def check(self, differences, what, largest_logit):
        """Rejects a file that is further from Keras.

        Args:
            differences: `Differences`.
            what: name of the precision or format, for the error message.
            largest_logit: largest absolute logit in Keras.

        Raises:
            ValueError: if a limit is exceeded.
        """
        in_stages = differences.in_stages
        stages = "" if in_stages is None else f", {in_stages:.2g} before, in or after a CRF separately"
        found = (
            f"a difference of {differences.largest:.2g} (mean {differences.mean:.2g}){stages} between logits "
            f"of up to {largest_logit:.3g}, {differences.equal_classes:.2%} equal classes"
        )
        values = (
            ("tolerance", differences.largest if in_stages is None else in_stages),
            ("tolerance", differences.mean),
            ("mean_tolerance", differences.mean),
        )
        for name, value in values:
            limit = getattr(self, name)
            if limit is not None and not value <= limit:
                raise ValueError(
                    f"`segmenter` must give the same probabilities in {what} as in Keras to within "
                    f"{name}={limit:g}. Received: {found}"
                )
        limit = self.min_equal_classes
        if limit is not None and not differences.equal_classes >= limit:
            raise ValueError(
                f"`segmenter` must give the same classes in {what} as in Keras for a fraction of "
                f"min_equal_classes={limit:g}. Received: {found}"
            )


USUAL_LIMITS = {
    "float32": Limits(1e-4, None, 0.999),
    "float16": Limits(0.1, 1e-2, 0.98),
    "int8": Limits(None, 0.1, 0.9),
}


def limits_of(precision, tolerance=None, mean_tolerance=None, min_equal_classes=None):
    """The requested limits, completed with those of a precision.

    Args:
        precision: `float32`, `float16` or `int8`.
        tolerance: None for that of the precision, like the others.
        mean_tolerance: as in `Limits`.
        min_equal_classes: as in `Limits`.

    Returns:
        `Limits`.

    Raises:
        ValueError: if a limit is not a number or is out of range.
    """
    given = Limits(tolerance, mean_tolerance, min_equal_classes)
    for name, value in (("tolerance", tolerance), ("mean_tolerance", mean_tolerance)):
        if value is not None:
            check_number(name, value, above=0)
    if min_equal_classes is not None:
        check_number("min_equal_classes", min_equal_classes, low=0, high=1)
    usual = USUAL_LIMITS[precision]
    chosen = {
        field.name: getattr(usual if getattr(given, field.name) is None else given, field.name)
        for field in dataclasses.fields(Limits)
    }
    return Limits(**chosen)
