import sys

import numpy as np
import pytest

from keras_wsseg.imaging import overlay
from keras_wsseg.imaging.overlay import color_layer

PALETTE = [[0, 0, 0], [200, 100, 0], [0, 0, 250]]


def test_blends_annotated_pixels_only():
    image = np.full((2, 2, 3), 100, np.uint8)
    painted = overlay(image, np.array([[1, 255], [2, 0]], np.uint8), PALETTE, alpha=0.25)
    assert painted.tolist() == [[[125, 100, 75], [100, 100, 100]], [[75, 75, 138], [75, 75, 75]]]
    assert (image == 100).all()


def test_outside_is_darkened_and_hatched():
    painted = overlay(np.full((16, 16), 200, np.uint8), np.full((16, 16), 254))[..., 0]
    assert painted[0, 0] == painted[3, 5] == 110
    assert painted[0, 1] == 60
    assert (painted == 110).mean() == pytest.approx(1 / 8)


def test_sixteen_bit_image_and_labels_with_a_channel():
    painted = overlay(np.full((2, 2, 1), 65535, np.uint16), np.full((2, 2, 1), 255), value_range=(0, 65535))
    assert (painted == 255).all() and painted.shape == (2, 2, 3)


def test_enlarged_click_is_round_and_rimmed():
    labels = np.full((9, 9), 255)
    labels[4, 4] = 1
    shown = overlay(np.full((9, 9), 40, np.uint8), labels, PALETTE, alpha=1.0, enlarge=2)
    painted = (shown == PALETTE[1]).all(-1)
    rows, columns = np.indices((9, 9)) - 4
    octagon = (np.maximum(abs(rows), abs(columns)) <= 2) & (abs(rows) + abs(columns) <= 3)
    np.testing.assert_array_equal(painted, octagon)
    assert shown[4, 7].tolist() == [10, 10, 10]
    assert shown[0, 0].tolist() == [40, 40, 40]


def test_enlarging_stops_at_other_classes_the_outside_and_the_border():
    labels = np.array([[1, 255, 255, 2, 254, 255]])
    painted = overlay(np.zeros((1, 6), np.uint8), labels, PALETTE, alpha=1.0, enlarge=5)
    assert painted[0, :2].tolist() == [PALETTE[1]] * 2
    assert painted[0, 2:4].tolist() == [PALETTE[2]] * 2
    assert painted[0, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": np.zeros((2, 2))}, TypeError, "`labels` must hold integers. Received: dtype=float64$"),
        ({"labels": np.zeros((3, 2), int)}, ValueError, r"image, \(2, 2\). Received: shape=\(3, 2\)$"),
        ({"labels": np.full((2, 2), 256)}, ValueError, "ids from 0 to 255. Received: ids from 256 to 256$"),
        ({"labels": np.full((2, 2), 3)}, ValueError, "`palette` must have .* class 3 and 3 colors$"),
        ({"alpha": 1.5}, ValueError, r"`alpha` must be a number from 0 to 1. Received: alpha=1.5$"),
        ({"enlarge": -1}, ValueError, r"`enlarge` must be an integer of at least 0. Received: enlarge=-1$"),
        ({"enlarge": 1.5}, ValueError, r"`enlarge` must be an integer of at least 0. Received: enlarge=1.5$"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"image": np.zeros((2, 2), np.uint8), "labels": np.zeros((2, 2), int), "palette": PALETTE}
    with pytest.raises(error, match=message):
        overlay(**{**arguments, **change})


COLORS = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 201]], "uint8")
MASK = np.array([[0, 1, 2], [2, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize("band", [1, 2, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_colors_are_mixed_with_the_image(monkeypatch, band, channels):
    monkeypatch.setattr(sys.modules["keras_wsseg.imaging.overlay"], "_BAND", band)
    image = np.random.default_rng(0).uniform(-1, 1, (3, 3, channels))
    painted = overlay(image, MASK, COLORS, 0.25, (-1, 1))
    assert painted.dtype == np.uint8 and painted.shape == (3, 3, 3)
    np.testing.assert_allclose(painted, 0.75 * (image + 1) * 127.5 + 0.25 * COLORS[MASK], atol=0.51)


def test_a_palette_of_all_bytes_paints_what_is_else_reserved():
    palette = np.arange(768, dtype="uint32").astype("uint8").reshape(256, 3)
    assert overlay(np.zeros((1, 2), np.uint8), np.array([[254, 255]]), palette, 1.0)[0].tolist() == [
        palette[254].tolist(),
        palette[255].tolist(),
    ]


@pytest.mark.parametrize("band", [1, 2, 256])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_a_layer_shows_classes_and_hides_the_rest(monkeypatch, band, dtype):
    monkeypatch.setattr(sys.modules["keras_wsseg.imaging.overlay"], "_BAND", band)
    mask = MASK.astype(dtype)
    mask[2, 0], mask[2, 1] = 255, 3
    if dtype != "uint8":
        mask[2, 2] = -1
    layer = color_layer(mask, COLORS, 0.5, [2])
    assert layer.dtype == np.uint8 and layer.shape == (3, 3, 4)
    assert layer[0].tolist() == [[10, 20, 30, 128], [200, 0, 0, 128], [0, 0, 0, 0]]
    hidden = layer[2] if dtype != "uint8" else layer[2, :2]
    assert not hidden.any()


def test_a_palette_of_all_bytes_hides_nothing():
    palette = np.arange(768, dtype="uint32").astype("uint8").reshape(256, 3)
    layer = color_layer(np.array([[255, 0]], "uint8"), palette, 1, [])
    assert layer[0, 0].tolist() == [*palette[255].tolist(), 255]
