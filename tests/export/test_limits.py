import numpy as np
import pytest

from keras_wsseg.export.limits import USUAL_LIMITS, Limits, limits_of
from keras_wsseg.export.parity import Differences


def test_what_is_not_given_is_that_of_the_precision():
    assert limits_of("float32") == USUAL_LIMITS["float32"] == Limits(1e-4, None, 0.999)
    assert limits_of("int8", tolerance=0.5) == Limits(0.5, 0.1, 0.9)
    assert limits_of("float16", mean_tolerance=0.2, min_equal_classes=0) == Limits(0.1, 0.2, 0)


@pytest.mark.parametrize(
    "limits,words",
    [
        (Limits(0.1, None, None), r"same probabilities in X as in Keras to within tolerance=0\.1\. Received"),
        (
            Limits(None, 0.01, None),
            r"within mean_tolerance=0\.01\. Received: a difference of 0\.2 \(mean 0\.02\)",
        ),
        (
            Limits(None, None, 0.95),
            r"fraction of min_equal_classes=0\.95\. Received: .* up to 7, 90\.00% equal",
        ),
    ],
)
def test_each_limit_is_kept(limits, words):
    with pytest.raises(ValueError, match=words):
        limits.check(Differences(0.2, 0.02, 0.9), "X", 7.0)
    Limits(0.2, 0.02, 0.9).check(Differences(0.2, 0.02, 0.9), "X", 7.0)
    Limits(None, None, None).check(Differences(np.inf, np.inf, 0.0), "X", 7.0)


def test_nan_exceeds_every_limit():
    with pytest.raises(ValueError, match="tolerance"):
        Limits(1e9, None, None).check(Differences(np.nan, 0, 1), "X", 1.0)


@pytest.mark.parametrize(
    "given,words",
    [
        ({"tolerance": 0}, r"`tolerance` must be a number above 0\. Received: tolerance=0"),
        ({"mean_tolerance": -1}, r"`mean_tolerance` must be a number above 0\. Received: mean_tolerance=-1"),
        (
            {"min_equal_classes": 99},
            r"`min_equal_classes` must be a number from 0 to 1\. Received: min_equal_classes=99",
        ),
    ],
)
def test_limits_out_of_range_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        limits_of("float32", **given)
