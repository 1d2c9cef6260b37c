import itertools

import numpy as np
import pytest
from scipy import ndimage

from keras_wsseg.annotations import PADDING, UNLABELED, read_label_map, shorten_scribbles

EIGHT = np.ones((3, 3))
LENGTHS = (0, 0.1, 0.3, 0.5, 0.8, 1)


def drawing():
    """A bar, a thin curve, a ring, a cross and a dot; the ring touches nothing of its own class."""
    rows, columns = np.mgrid[:90, :120]
    labels = np.full((90, 120), UNLABELED, np.uint8)
    labels[4:9, 5:95] = 0
    path = np.arange(100)
    labels[(20 + 8 * np.sin(path / 12)).astype(int), 5 + path] = 1
    distance = np.hypot(rows - 60, columns - 30)
    labels[(distance < 20) & (distance > 16.5)] = 2
    labels[58:61, 60:100] = labels[40:80, 79:82] = 3
    labels[85, 110] = 3
    labels[:, -4:] = PADDING
    return labels


def strokes(labels):
    for class_id in np.unique(labels[labels < PADDING]):
        numbered, count = ndimage.label(labels == class_id, EIGHT)
        yield from (numbered == number for number in range(1, count + 1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length", LENGTHS)
def test_every_stroke_keeps_one_connected_part_of_its_length(length, seed):
    labels = drawing()
    shortened = shorten_scribbles(labels, length, seed)
    assert shortened.dtype == np.uint8 and shortened.shape == labels.shape
    count = 0
    for stroke in strokes(labels):
        kept = stroke & (shortened < PADDING)
        assert np.array_equal(shortened[kept], labels[kept])
        assert kept.sum() == max(1, np.rint(length * stroke.sum()))
        assert ndimage.label(kept, EIGHT)[1] == 1
        count += 1
    assert count == 5
    untouched = labels >= PADDING
    assert np.array_equal(shortened[untouched], labels[untouched])


def test_a_shorter_part_lies_within_the_longer_one():
    parts = [shorten_scribbles(drawing(), length, seed=7) < PADDING for length in LENGTHS]
    for shorter, longer in itertools.pairwise(parts):
        assert (shorter <= longer).all() and shorter.sum() < longer.sum()


def test_as_drawn_and_down_to_a_click():
    labels = drawing()
    assert np.array_equal(shorten_scribbles(labels, 1.0), labels)
    clicks = shorten_scribbles(labels, 0)
    assert (clicks < PADDING).sum() == len(list(strokes(labels)))


def test_the_thickness_stays():
    bar = np.full((20, 220), UNLABELED, np.uint8)
    bar[8:13, 10:210] = 1
    for seed in range(5):
        thick = (shorten_scribbles(bar, 0.5, seed) == 1).sum(axis=0)
        # 100 columns of 5; only the two ends are not cut straight.
        assert (thick == 5).sum() >= 95 and (thick > 0).sum() <= 105


def test_the_way_leads_along_the_stroke_and_not_across_a_gap():
    spiral = np.full((40, 40), UNLABELED, np.uint8)
    spiral[5, 5:35] = spiral[5:35, 34] = spiral[34, 5:35] = spiral[8:35, 5] = 1
    ends = spiral.copy()
    for seed in range(20):
        part = shorten_scribbles(ends, 0.2, seed) == 1
        # Both ends are three pixels apart through the air, and 110 along the stroke.
        assert not (part[5, 5] and part[8, 5])


def test_touching_strokes_of_two_classes_are_two():
    labels = np.full((3, 20), UNLABELED, np.uint8)
    labels[1, :10], labels[1, 10:] = 0, 1
    shortened = shorten_scribbles(labels, 0.5)
    assert [(shortened == class_id).sum() for class_id in (0, 1)] == [5, 5]


def test_the_seed_repeats_and_moves_the_parts():
    labels = drawing()
    one = shorten_scribbles(labels, 0.3, seed=1)
    assert np.array_equal(one, shorten_scribbles(labels, 0.3, seed=1))
    assert not np.array_equal(one, shorten_scribbles(labels, 0.3, seed=2))
    assert not np.array_equal(one, shorten_scribbles(labels, 0.3, seed=(1, 5)))
    clicks = [shorten_scribbles(labels, 0, seed=seed)[4:9] == 0 for seed in range(60)]
    places = [int(np.argmax(click.any(axis=0))) for click in clicks]
    assert min(places) < 20 and max(places) > 80


def test_nothing_drawn_stays_nothing():
    labels = np.full((4, 5), UNLABELED)
    labels[0] = PADDING
    assert np.array_equal(shorten_scribbles(labels, 0.5), labels)


def test_the_argument_is_not_changed():
    labels = drawing()
    shorten_scribbles(labels, 0.2)
    assert np.array_equal(labels, drawing())


def test_strokes_drawn_by_hand(real_data):
    thin = sorted((real_data / "acdc" / "scribbles").glob("patient00*.png"))[:6]
    thick = sorted((real_data / "voc_mini" / "scribbles").glob("*.png"))[:2]
    for path in thin + thick:
        labels = read_label_map(path)
        half, click = shorten_scribbles(labels, 0.5), shorten_scribbles(labels, 0)
        drawn = (labels < PADDING).sum()
        assert 0.45 * drawn < (half < PADDING).sum() < 0.55 * drawn
        assert (click < PADDING).sum() == len(list(strokes(labels))) == len(list(strokes(half)))
        if path in thick:
            depth = [ndimage.distance_transform_edt(one < PADDING).max() for one in (labels, half)]
            assert depth[1] > 0.7 * depth[0]


@pytest.mark.parametrize("length", [-0.1, 1.5, float("nan")])
def test_the_length_is_checked(length):
    with pytest.raises(ValueError) as raised:
        shorten_scribbles(np.zeros((3, 3), int), length)
    assert str(raised.value) == f"`length` must be a number from 0 to 1. Received: length={length}"


def test_labels_are_checked():
    with pytest.raises(TypeError, match="`labels` must hold integers"):
        shorten_scribbles(np.zeros((3, 3)), 0.5)
