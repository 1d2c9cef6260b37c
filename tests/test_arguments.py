import numpy as np
import pytest

from keras_wsseg.arguments import check_integer, check_number, check_value_range


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_of_every_kind(value):
    assert type(check_integer("count", value, low=3, high=3)) is int


@pytest.mark.parametrize("value", [3.0, "3", None, True, np.float32(3), [3], np.bool_(True)])
def test_what_is_no_integer(value):
    with pytest.raises(ValueError, match=r"^`count` must be an integer\. Received: count="):
        check_integer("count", value)


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"low": 4}, "of at least 4"), ({"high": 2}, "of at most 2"), ({"low": 4, "high": 9}, "from 4 to 9")],
)
def test_integers_out_of_range(limits, words):
    with pytest.raises(ValueError, match=rf"^`count` must be an integer {words}\. Received: count=3$"):
        check_integer("count", 3, **limits)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.5), np.int64(1)])
def test_numbers_of_every_kind(value):
    assert check_number("share", value, low=0, high=1) is value


@pytest.mark.parametrize(
    "value", ["0.5", None, True, float("nan"), float("inf"), [0.5], 1j, pytest.param(10**400, id="huge")]
)
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match=r"^`share` must be a number\. Received: share="):
        check_number("share", value)


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        (-0.1, {"low": 0}, "of at least 0"),
        (0, {"above": 0}, "above 0"),
        (1.5, {"low": 0, "high": 1}, "from 0 to 1"),
        (1, {"above": 0, "below": 1}, "above 0 and below 1"),
        (0, {"above": 0, "high": 1}, "above 0 and of at most 1"),
    ],
)
def test_numbers_out_of_range(value, limits, words):
    with pytest.raises(ValueError, match=rf"^`share` must be a number {words}\. Received: share={value}$"):
        check_number("share", value, **limits)


def test_value_ranges():
    assert check_value_range([0, 1]) == (0, 1)
    assert check_value_range((-1.0, 1.0)) == (-1.0, 1.0)
    low, high = check_value_range(np.array([0, 255]))
    assert (type(low), type(high)) == (int, int)


@pytest.mark.parametrize(
    "value", [255, (1, 0), (1, 1), (0, 1, 2), "ab", (0, float("inf")), (float("nan"), 1), (0, 10**400)]
)
def test_what_is_no_value_range(value):
    words = "^`value_range` must be two finite numbers, .* Received: value_range="
    with pytest.raises(ValueError, match=words):
        check_value_range(value)
