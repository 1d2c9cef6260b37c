import pytest

from keras_wsseg import callbacks, losses


def test_weight_by_step():
    crf = losses.GatedCRFLoss(weight=0.4)
    sudden = callbacks.WarmUp(crf, delay_steps=3)
    assert [sudden.weight_at(step) for step in (0, 2, 3, 9)] == pytest.approx([0, 0, 0.4, 0.4])
    ramped = callbacks.WarmUp(crf, delay_steps=2, ramp_steps=3)
    assert [ramped.weight_at(step) for step in range(6)] == pytest.approx([0, 0, 0.1, 0.2, 0.3, 0.4])
    crf.weight = 0.8
    assert ramped.weight_at(5) == pytest.approx(0.8)
    crf.anneal("weight", 0)
    assert ramped.weight_at(5) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("crf", 3), TypeError, "loss must be a loss of keras_wsseg. Received: 'crf'"),
        (
            (losses.GatedCRFLoss(), -1),
            ValueError,
            "`delay_steps` must be an integer of at least 0. Received: delay_steps=-1",
        ),
        (
            (losses.GatedCRFLoss(), 1, 2.5),
            ValueError,
            "`ramp_steps` must be an integer of at least 0. Received: ramp_steps=2.5",
        ),
    ],
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        callbacks.WarmUp(*arguments)
