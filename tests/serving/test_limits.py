import pytest

from keras_wsseg.serving.limits import ServiceLimits


@pytest.mark.parametrize(
    ("argument", "error", "text"),
    [
        ({"workers": 0}, ValueError, "`workers` must be an integer from 1 to 1024. Received: workers=0"),
        ({"workers": 2.0}, ValueError, "`workers` must be an integer .*Received: workers=2.0"),
        ({"queue": -1}, ValueError, "`queue` must be an integer from 0 to 100000. Received: queue=-1"),
        ({"queue": True}, ValueError, "`queue` must be an integer .*Received: queue=True"),
        ({"max_bytes": 0}, ValueError, "`max_bytes` must be an integer from 1 to .*Received: max_bytes=0"),
        (
            {"max_pixels": 2**30},
            ValueError,
            "`max_pixels` must be an integer from 1 to 178956970. Received: max_pixels=1073",
        ),
        ({"timeout": 0}, ValueError, "`timeout` must be a number above 0. Received: timeout=0"),
        ({"timeout": "1"}, ValueError, "`timeout` must be a number above 0. Received: timeout='1'"),
        ({"read_timeout": float("inf")}, ValueError, "`read_timeout` must be .*Received: read_timeout=inf"),
        ({"grace": -1}, ValueError, "`grace` must be a number of at least 0. Received: grace=-1"),
        ({"grace": float("nan")}, ValueError, "`grace` must be .*Received: grace=nan"),
    ],
)
def test_wrong_limits_are_refused(argument, error, text):
    with pytest.raises(error, match=text):
        ServiceLimits(**argument)


def test_what_may_be_zero():
    assert ServiceLimits(queue=0, grace=0).max_held_bytes == 2 * ServiceLimits.max_bytes
