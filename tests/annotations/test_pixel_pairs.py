import numpy as np
import pytest

from keras_wsseg.annotations.pixel_pairs import pixel_pairs


def test_every_pair_is_there_once():
    inside = np.random.default_rng(0).random((7, 9)) < 0.6
    points, one, other, distance = pixel_pairs(inside)
    assert np.array_equal(points, np.argwhere(inside))
    found = sorted(tuple(sorted(pair)) for pair in zip(one.tolist(), other.tolist(), strict=True))
    expected = [
        (i, j)
        for i in range(len(points))
        for j in range(i + 1, len(points))
        if np.abs(points[i] - points[j]).max() == 1
    ]
    assert found == expected
    assert distance == pytest.approx(np.hypot(*(points[one] - points[other]).T))


def test_lone_pixels_and_nothing_have_no_pairs():
    for inside in (np.zeros((3, 4), bool), np.eye(1, 5, dtype=bool)):
        points, one, other, distance = pixel_pairs(inside)
        assert len(points) == inside.sum() and len(one) == len(other) == len(distance) == 0
