import math

import numpy as np
import pytest

from keras_wsseg.annotations import (
    PADDING,
    UNLABELED,
    enlarge_clicks,
    read_label_map,
    simulate_clicks,
)


def oracle(labels, stuff_classes=(), min_stuff_area=256, instances=None):
    """The rule in loops: flood fill, centroid, and where that is outside the sorted distances."""
    height, width = labels.shape
    instances = np.zeros_like(labels, int) if instances is None else instances
    clicks = np.full((height, width), UNLABELED, np.uint8)
    clicks[labels == PADDING] = PADDING
    seen = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            if seen[row, column] or labels[row, column] >= PADDING:
                continue
            class_id, number = labels[row, column], instances[row, column]
            pixels, front = [], [(row, column)]
            seen[row, column] = True
            while front:
                y, x = front.pop()
                pixels.append((y, x))
                for v in range(max(y - 1, 0), min(y + 2, height)):
                    for u in range(max(x - 1, 0), min(x + 2, width)):
                        alike = labels[v, u] == class_id and max(instances[v, u], 0) == max(number, 0)
                        if not seen[v, u] and alike:
                            seen[v, u] = True
                            front.append((v, u))
            if class_id in stuff_classes and len(pixels) < min_stuff_area:
                continue
            pixels.sort()
            cy = sum(y for y, _ in pixels) / len(pixels)
            cx = sum(x for _, x in pixels) / len(pixels)
            chosen = (math.floor(cy + 0.5), math.floor(cx + 0.5))
            if chosen not in pixels:
                distances = sorted((math.sqrt((y - cy) ** 2 + (x - cx) ** 2), y, x) for y, x in pixels)
                bound = distances[0][0] + 0.025 * (distances[-1][0] - distances[0][0])
                chosen = next((y, x) for d, y, x in distances if d >= bound)
            clicks[chosen] = class_id
    return clicks


def blobs(seed, size=40):
    random = np.random.default_rng(seed)
    labels = np.kron(random.integers(0, 4, (size // 4, size // 4)), np.ones((4, 4), int))
    labels[random.random((size, size)) < 0.1] = 3
    labels[random.random((size, size)) < 0.03] = UNLABELED
    labels[:, -2:] = PADDING
    return labels


@pytest.mark.parametrize("seed", range(4))
def test_against_loops(seed):
    labels = blobs(seed)
    assert np.array_equal(simulate_clicks(labels), oracle(labels))
    stuff = simulate_clicks(labels, stuff_classes=(0, 2), min_stuff_area=40)
    assert np.array_equal(stuff, oracle(labels, (0, 2), 40))
    assert (stuff < PADDING).sum() < (simulate_clicks(labels) < PADDING).sum()


def test_against_loops_with_instances():
    labels = blobs(9)
    instances = np.random.default_rng(1).integers(0, 3, (10, 10)).repeat(4, 0).repeat(4, 1)
    clicks = simulate_clicks(labels, instances=instances)
    assert np.array_equal(clicks, oracle(labels, instances=instances))
    assert not np.array_equal(clicks, simulate_clicks(labels))


def test_on_a_real_label_map(real_data):
    labels = read_label_map(real_data / "camvid" / "labels" / "0001TP_006690.png")[::2, ::2]
    assert np.array_equal(simulate_clicks(labels, stuff_classes=(0, 3)), oracle(labels, (0, 3)))


def test_a_disc_is_clicked_in_its_middle_and_a_ring_near_its_inner_rim():
    rows, columns = np.mgrid[:41, :41] - 20
    distance = np.hypot(rows, columns)
    disc = np.where(distance < 10, 1, UNLABELED)
    assert np.argwhere(simulate_clicks(disc) == 1).tolist() == [[20, 20]]
    ring = np.where((distance >= 8) & (distance <= 18), 1, UNLABELED)
    (click,) = np.argwhere(simulate_clicks(ring) == 1)
    inner = np.sort(distance[ring == 1])
    assert inner[0] + 0.025 * (inner[-1] - inner[0]) <= distance[tuple(click)] < 8.6


def test_stuff_at_exactly_the_area_keeps_its_click():
    labels = np.full((20, 40), UNLABELED)
    labels[:16, :16] = 2
    labels[:15, 20:37] = 2
    clicks = simulate_clicks(labels, stuff_classes=(2,))
    assert np.argwhere(clicks == 2).tolist() == [[8, 8]]


def test_large_clicks_keep_to_free_pixels_of_the_image():
    labels = np.full((7, 7), UNLABELED)
    labels[0, 0], labels[3, 3], labels[3, 4], labels[5, 5] = 1, 2, 3, PADDING
    large = enlarge_clicks(labels, 3)
    assert large[:2, :2].tolist() == [[1, 1], [1, 1]]
    assert large[3, 3] == 2 and large[3, 4] == 3 and large[5, 5] == PADDING
    assert large[2, 2:6].tolist() == [2, 2, 2, 3]
    assert (large < PADDING).sum() == 4 + 9 + 3
    assert np.array_equal(enlarge_clicks(labels, 1), labels)


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_size_changes_no_click_and_nothing_outside(seed):
    labels = blobs(seed)
    small, large = simulate_clicks(labels), simulate_clicks(labels, size=3)
    annotated = small < PADDING
    assert np.array_equal(large[annotated], small[annotated])
    assert np.array_equal(large == PADDING, labels == PADDING)
    assert (large < PADDING).sum() > 3 * annotated.sum()


def test_nothing_annotated_gives_no_click():
    labels = np.array([[UNLABELED, PADDING]], np.uint8)
    assert simulate_clicks(labels, size=3).tolist() == [[UNLABELED, PADDING]]


@pytest.mark.parametrize("size", [0, 2, -1, 1.5, True])
def test_size_is_checked(size):
    with pytest.raises(
        ValueError, match=rf"`size` must be (a positive odd|an) integer.* Received: size={size}"
    ):
        simulate_clicks(np.zeros((3, 3), int), size=size)


def test_other_arguments_are_checked():
    labels = np.zeros((3, 3), int)
    with pytest.raises(
        ValueError, match=r"`stuff_classes` must be class ids. Received: stuff_classes=\(255,\)"
    ):
        simulate_clicks(labels, stuff_classes=(255,))
    with pytest.raises(
        ValueError, match=r"`min_stuff_area` must be an integer of at least 0. Received: min_stuff_area=-1"
    ):
        simulate_clicks(labels, min_stuff_area=-1)
    with pytest.raises(ValueError, match=r"Received: instances of int64 and shape \(2, 3\)"):
        simulate_clicks(labels, instances=np.zeros((2, 3), np.int64))
    with pytest.raises(TypeError, match=r"Received: labels.dtype=float64"):
        simulate_clicks(np.zeros((3, 3)))
