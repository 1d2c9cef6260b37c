import numpy as np
import pytest

from keras_wsseg.export import painting
from keras_wsseg.export.painting import colour_layer, paint_over

PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 201]], "uint8")
MASK = np.array([[0, 1, 2], [2, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize("band", [1, 2, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_mixed_with_the_picture(monkeypatch, band, channels):
    monkeypatch.setattr(painting, "BAND", band)
    picture = np.random.default_rng(0).uniform(-1, 1, (3, 3, channels))
    painted = paint_over(picture, MASK, PALETTE, (-1, 1), 0.25)
    assert painted.dtype == np.uint8 and painted.shape == (3, 3, 3)
    np.testing.assert_allclose(painted, 0.75 * (picture + 1) * 127.5 + 0.25 * PALETTE[MASK], atol=0.51)


@pytest.mark.parametrize("band", [1, 2, 256])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_a_layer_shows_classes_and_hides_the_rest(monkeypatch, band, dtype):
    monkeypatch.setattr(painting, "BAND", band)
    mask = MASK.astype(dtype)
    mask[2, 0], mask[2, 1] = 255, 3
    if dtype != "uint8":
        mask[2, 2] = -1
    layer = colour_layer(mask, PALETTE, 0.5, [2])
    assert layer.dtype == np.uint8 and layer.shape == (3, 3, 4)
    assert layer[0].tolist() == [[10, 20, 30, 128], [200, 0, 0, 128], [0, 0, 0, 0]]
    hidden = layer[2] if dtype != "uint8" else layer[2, :2]
    assert not hidden.any()


def test_a_palette_of_all_bytes_hides_nothing():
    palette = np.arange(768, dtype="uint32").astype("uint8").reshape(256, 3)
    layer = colour_layer(np.array([[255, 0]], "uint8"), palette, 1, [])
    assert layer[0, 0].tolist() == [*palette[255].tolist(), 255]
