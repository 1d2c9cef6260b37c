import numpy as np
import pytest

from keras_wsseg.imaging import voc_palette


def test_first_and_last_colors_of_the_voc_palette():
    palette = voc_palette()
    assert palette.dtype == np.uint8 and palette.shape == (256, 3)
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        7: (128, 128, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    for number, color in known.items():
        assert tuple(palette[number].tolist()) == color


def test_all_colors_differ():
    assert len(np.unique(voc_palette(), axis=0)) == 256


@pytest.mark.parametrize("n", [0, 257, 2.5, True])
def test_number_of_colors_is_checked(n):
    with pytest.raises(ValueError, match=rf"integer from 1 to 256. Received: n={n}"):
        voc_palette(n)
