import os

import pytest

from keras_wsseg.export.suppressed_output import suppressed_output


def test_what_is_said_below_python_is_kept_away(capfd):
    with suppressed_output():
        os.write(2, b"chatter")
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"


@pytest.mark.parametrize("unless_it_fails,heard", [(True, "chatter"), (False, "")])
def test_a_failure_may_need_it(capfd, unless_it_fails, heard):
    with pytest.raises(ValueError), suppressed_output(unless_it_fails):
        os.write(2, b"chatter")
        raise ValueError
    assert capfd.readouterr().err == heard
