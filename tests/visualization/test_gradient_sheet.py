import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.visualization import gradient_sheet

PALETTE = [[11, 22, 33], [200, 100, 0], [0, 0, 250]]
RED, YELLOW = (235, 40, 45), (255, 214, 10)


def painted(sheet, color):
    return int((sheet == color).all(-1).sum())


def halves():
    """A black image, certain of class 1 on the left and of class 2 on the right."""
    p = np.zeros((32, 32, 3), np.float32)
    p[:, :16, 1] = p[:, 16:, 2] = 1
    return np.zeros((32, 32), np.uint8), p


def sheet(**extra):
    image, p = halves()
    given = {"loss": losses.GatedCRFLoss(radius=2), "image": image, "labels": None, "prediction": p}
    return gradient_sheet(**{**given, "cell": 64, **extra})


def test_prediction_and_a_column_for_each_class_that_is_predicted():
    found = sheet(palette=PALETTE, cell=32)
    assert painted(found, (100, 50, 0)) == painted(found, (0, 0, 125)) == 32 * 16
    three = sheet(classes=[0, 1, 2])
    assert three.shape[1] - sheet(classes=[1, 2]).shape[1] >= 64
    np.testing.assert_array_equal(sheet(), sheet(classes=[1, 2]))


def test_both_colors_and_a_limit_that_all_columns_share():
    found = sheet(percentile=1, cell=32)
    assert painted(found, RED) > 300 and painted(found, YELLOW) > 300
    assert not painted(sheet(limit=1e9), RED)


def test_words_above_and_names():
    assert sheet(caption="one").shape[1] > 0
    assert (sheet(class_names=["a", "b", "c"]).shape[0]) > sheet().shape[0]
    wide = sheet(caption="a caption of so many words that the sheet must grow to hold all of it " * 2)
    assert wide.shape[1] > sheet().shape[1]


def test_a_coarser_prediction_covers_the_image():
    _, p = halves()
    found = sheet(prediction=p[::4, ::4], palette=PALETTE, cell=32)
    assert painted(found, (100, 50, 0)) == painted(found, (0, 0, 125)) == 32 * 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"class_names": ["a"]},
            "`class_names` must have a name for each of the 3 classes. Received: 1 names$",
        ),
        ({"classes": [3]}, r"`classes` must be ids from 0 to 2. Received: classes=\[3\]$"),
        ({"classes": []}, r"`classes` must be ids from 0 to 2. Received: classes=\[\]$"),
        ({"show": "x"}, r"`show` must be one of .* Received: show='x'$"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        sheet(**change)
