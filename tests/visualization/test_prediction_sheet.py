import numpy as np
import pytest

from keras_wsseg.visualization import prediction_sheet

PALETTE = [[11, 22, 33], [200, 100, 0], [0, 0, 250]]


def painted(sheet, color):
    return int((sheet == color).all(-1).sum())


def test_a_column_for_each_thing_known():
    images = [np.zeros((32, 32), np.uint8), np.zeros((32, 24, 3), np.uint8)]
    probabilities = [np.full((*image.shape[:2], 3), 1 / 3) for image in images]
    maps = [np.zeros(image.shape[:2], int) for image in images]
    widths = [
        prediction_sheet(images, probabilities, cell=64, **extra).shape[1]
        for extra in ({}, {"labels": maps}, {"labels": maps, "truth": maps})
    ]
    assert widths[1] - widths[0] >= 64 and widths[2] - widths[1] >= 64


def test_prediction_is_the_likeliest_class():
    p = np.zeros((32, 32, 3))
    p[:, :16, 2] = 1
    p[:, 16:, 1] = 1
    sheet = prediction_sheet([np.zeros((32, 32), np.uint8)], [p], palette=PALETTE, cell=32)
    assert painted(sheet, (0, 0, 125)) == painted(sheet, (100, 50, 0)) == 32 * 16


def test_clicks_are_drawn_larger_than_strokes_and_dense_labels_as_they_are():
    image, p = np.zeros((300, 300), np.uint8), np.zeros((300, 300, 3))
    p[..., 0] = 1
    click, stroke = np.full((300, 300), 255), np.full((300, 300), 255)
    click[150, 150] = 1
    stroke[100:106, 50:250] = 1
    sheets = [
        prediction_sheet([image], [p], [labels], palette=PALETTE, cell=300) for labels in (click, stroke)
    ]
    assert painted(sheets[0], PALETTE[1]) == 37
    assert painted(sheets[1], PALETTE[1]) == (6 + 2) * (200 + 2) - 4
    dense = prediction_sheet([image], [p], [np.ones((300, 300), int)], palette=PALETTE, cell=300)
    assert painted(dense, (100, 50, 0)) == 300 * 300


def test_an_unknown_label_leaves_its_place_empty():
    images, p = [np.zeros((32, 32), np.uint8)] * 2, [np.full((32, 32, 3), 1 / 3)] * 2
    sheet = prediction_sheet(images, p, truth=[None, np.full((32, 32), 2)], palette=PALETTE, cell=32)
    assert painted(sheet, (0, 0, 125)) == 32 * 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": []}, "`labels` must have an entry for each of the 1 images. Received: 0 entries$"),
        ({"truth": [None, None]}, "`truth` must have an entry .* Received: 2 entries$"),
        ({"probabilities": [np.ones((4, 4, 1))]}, r"image, \(8, 8\). Received: shape=\(4, 4, 1\)$"),
        ({"labels": [np.zeros((4, 4), int)]}, r"`labels` must have the height and width of the image"),
    ],
)
def test_bad_input(change, message):
    arguments = {"images": [np.zeros((8, 8), np.uint8)], "probabilities": [np.ones((8, 8, 1))]}
    with pytest.raises(ValueError, match=message):
        prediction_sheet(**{**arguments, **change})
