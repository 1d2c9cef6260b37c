import numpy as np
import pytest
from scipy import ndimage

from keras_wsseg.annotations import PADDING, UNLABELED, read_label_map, simulate_scribbles


def scene():
    rows, columns = np.mgrid[:80, :120]
    labels = np.zeros((80, 120), np.uint8)
    distance = np.hypot(rows - 40, columns - 35)
    labels[distance < 26] = 1
    labels[distance < 16] = 2
    labels[20:60, 85:91] = 3
    labels[5:8, 70:72] = 3
    labels[70:, :10] = UNLABELED
    labels[:, -3:] = PADDING
    return labels


def strokes(scribbles, class_id):
    return ndimage.label(scribbles == class_id, np.ones((3, 3)))[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [1, 3, 4])
def test_every_drawn_pixel_is_right_and_every_component_has_one_stroke(seed, width):
    labels = scene()
    scribbles = simulate_scribbles(labels, seed=seed, width=width)
    drawn = scribbles < PADDING
    assert np.array_equal(scribbles[drawn], labels[drawn])
    assert np.array_equal(scribbles == PADDING, labels == PADDING)
    assert [strokes(scribbles, class_id) for class_id in range(4)] == [1, 1, 1, 2]
    assert 0.01 * width < drawn.mean() < 0.045 * width


def test_strokes_are_long_thin_and_keep_off_the_border():
    labels = scene()
    scribbles = simulate_scribbles(labels)
    # A bar of 40 x 6, and a ring of width 10 whose half circumference is 66.
    rows = np.flatnonzero((scribbles[:, 80:95] == 3).any(axis=1))
    assert len(rows) > 25
    assert (scribbles == 1).sum() > 3 * 50
    depth = ndimage.distance_transform_edt(labels == 1)
    assert np.median(depth[scribbles == 1]) > 3
    assert (ndimage.distance_transform_edt(scribbles == 0)).max() <= 3


def test_length_shortens_down_to_a_single_click():
    labels = scene()
    areas = [(simulate_scribbles(labels, length=length) < PADDING).sum() for length in (0, 0.25, 0.5, 1)]
    assert areas == sorted(areas) and areas[3] > 1.5 * areas[2] > 2 * areas[1] > 2 * areas[0]
    clicks = simulate_scribbles(labels, length=0, width=1)
    assert (clicks < PADDING).sum() == 5


def test_a_shorter_stroke_is_part_of_the_longer_one():
    labels = scene()
    whole, short = simulate_scribbles(labels, seed=3), simulate_scribbles(labels, length=0.4, seed=3)
    drawn = (short < PADDING) & (labels != 3)
    inside = whole[drawn] == short[drawn]
    assert inside.mean() > 0.95


def test_seed_repeats_and_changes_the_strokes():
    labels = scene()
    one = simulate_scribbles(labels, seed=1)
    assert np.array_equal(one, simulate_scribbles(labels, seed=1))
    assert not np.array_equal(one, simulate_scribbles(labels, seed=2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (4, 5), (200, 150)])
def test_any_shape_of_component(shape):
    scribbles = simulate_scribbles(np.zeros(shape, np.uint8))
    assert (scribbles == 0).any()
    assert strokes(scribbles, 0) == 1


def test_a_spiral_is_followed():
    labels = np.ones((41, 41), np.uint8)
    path = [(2, 2, 2, 38), (2, 38, 38, 38), (38, 38, 10, 38), (10, 38, 10, 10), (10, 10, 10, 30)]
    for top, bottom, left, right in [(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in path]:
        labels[top - 1 : bottom + 2, left - 1 : right + 2] = 0
    scribbles = simulate_scribbles(labels, width=1)
    assert strokes(scribbles, 0) == 1
    assert (scribbles == 0).sum() > 100


def test_specks_can_be_left_out():
    scribbles = simulate_scribbles(scene(), min_area=7)
    assert strokes(scribbles, 3) == 1


def test_on_a_real_label_map(real_data):
    labels = read_label_map(real_data / "camvid" / "labels" / "0001TP_006690.png")
    scribbles = simulate_scribbles(labels)
    drawn = scribbles < PADDING
    assert np.array_equal(scribbles[drawn], labels[drawn])
    assert set(np.unique(scribbles[drawn])) == set(np.unique(labels[labels < PADDING]))
    assert 0.01 < drawn.mean() < 0.1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"length": -0.1}, r"`length` must be a number from 0 to 1. Received: length=-0.1"),
        ({"length": 1.1}, r"Received: length=1.1"),
        ({"width": 0}, r"`width` must be an integer of at least 1. Received: width=0"),
        ({"width": 1.5}, r"Received: width=1.5"),
        ({"min_area": -1}, r"`min_area` must be an integer of at least 0. Received: min_area=-1"),
    ],
)
def test_arguments_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        simulate_scribbles(np.zeros((3, 3), int), **arguments)
