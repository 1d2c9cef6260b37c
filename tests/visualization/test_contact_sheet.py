import numpy as np
import pytest

from keras_wsseg.visualization import contact_sheet

RED = np.tile(np.array([250, 0, 0], np.uint8), (8, 16, 1))
GREEN = np.tile(np.array([0, 250, 0], np.uint8), (16, 16, 1))


def places(sheet, color):
    rows, columns = np.nonzero((sheet == color).all(-1))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_grid():
    sheet = contact_sheet([[RED, GREEN], [None, RED]], cell=64)
    top, bottom, left, right = places(sheet[:70], (250, 0, 0))
    assert (bottom - top + 1, right - left + 1) == (32, 64)
    green = places(sheet, (0, 250, 0))
    assert (green[1] - green[0] + 1, green[3] - green[2] + 1) == (64, 64)
    assert green[2] > right
    second_red = places(sheet[70:], (250, 0, 0))
    assert second_red[2:] == green[2:]


def test_titles_caption_and_legend_take_room_of_their_own():
    plain = contact_sheet([[RED]], cell=128)
    titled = contact_sheet([[RED]], titles=["image"], cell=128)
    captioned = contact_sheet([[RED]], titles=["image"], caption="epoch 1", cell=128)
    named = contact_sheet([[RED]], class_names=["sky", "tree"], palette=[[1, 2, 3], [4, 5, 6]], cell=128)
    assert plain.shape[0] < titled.shape[0] < captioned.shape[0]
    assert plain.shape[0] < named.shape[0]
    for color in ((1, 2, 3), (4, 5, 6)):
        assert (named == color).all(-1).sum() > 50
        assert not (plain == color).all(-1).any()


def test_long_legend_wraps_and_a_long_name_widens_the_sheet():
    few = contact_sheet([[RED]], class_names=["a"], cell=128)
    many = contact_sheet([[RED]], class_names=[f"class {i}" for i in range(12)], cell=128)
    assert many.shape[1] == few.shape[1] and many.shape[0] > few.shape[0]
    wide = contact_sheet(
        [[RED]], class_names=["a name that is far longer than the image below it is wide"], cell=128
    )
    assert wide.shape[1] > 2 * few.shape[1]


def test_small_images_keep_single_pixels_and_large_ones_are_averaged():
    checks = np.indices((8, 8)).sum(0).astype(np.uint8) % 2 * 100
    sheet = contact_sheet([[checks]], cell=64)
    assert (sheet == 100).all(-1).sum() == (sheet == 0).all(-1).sum() == 32 * 64
    fine = np.indices((128, 128)).sum(0).astype(np.uint8) % 2 * 100
    assert (contact_sheet([[fine]], cell=64) == 50).all(-1).sum() == 64 * 64


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rows": []}, ValueError, "`rows` must contain at least one image. Received: 0 rows$"),
        ({"rows": [[None]]}, ValueError, "`rows` must contain at least one image. Received: 1 rows$"),
        ({"rows": [[RED, RED / 255]]}, ValueError, r"`rows\[0\]\[1\]` must be uint8 .*dtype=float64$"),
        ({"titles": ["a", "b"]}, ValueError, r"each of the 1 columns. Received: titles=\['a', 'b'\]$"),
        (
            {"class_names": ["a", "b"], "palette": [[0, 0, 0]]},
            ValueError,
            "Received: 2 names and 1 colors$",
        ),
        ({"cell": 8}, ValueError, "`cell` must be an integer of at least 32. Received: cell=8$"),
        ({"cell": 64.0}, ValueError, r"`cell` must be an integer .*Received: cell=64.0$"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        contact_sheet(**{"rows": [[RED]], **arguments})
