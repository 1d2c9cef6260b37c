import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg.annotations import PADDING, UNLABELED
from keras_wsseg.data.resampling import cover_index, cut_image, cut_labels, resize_labels, source_index


def cut(labels, scaled, offset, window, reach=3, flip=False):
    result, inside = cut_labels(
        tf.constant(labels, tf.uint8),
        tf.constant(scaled),
        tf.constant(offset),
        window,
        reach,
        tf.constant(flip),
    )
    assert np.array_equal(inside.numpy(), inside_oracle(scaled, offset, window, flip))
    return result.numpy()


def inside_oracle(scaled, offset, window, flip):
    inside = [
        [0 <= i + offset[0] < scaled[0] and 0 <= j + offset[1] < scaled[1] for j in range(window[1])]
        for i in range(window[0])
    ]
    return np.array(inside)[:, ::-1] if flip else np.array(inside)


def labels_oracle(labels, scaled, offset, window, flip):
    """Every annotated pixel thrown forward, then the pixel under the center where that has a class."""
    height, width = labels.shape
    whole = np.full(scaled, -1)
    for y in range(height):
        for x in range(width):
            if labels[y, x] < PADDING:
                place = int((y + 0.5) * scaled[0] / height), int((x + 0.5) * scaled[1] / width)
                whole[place] = max(whole[place], labels[y, x])
    for t in range(scaled[0]):
        for u in range(scaled[1]):
            nearest = labels[int((t + 0.5) * height / scaled[0]), int((u + 0.5) * width / scaled[1])]
            if nearest < PADDING or whole[t, u] < 0:
                whole[t, u] = nearest
    result = np.full(window, PADDING)
    for i in range(window[0]):
        for j in range(window[1]):
            if 0 <= i + offset[0] < scaled[0] and 0 <= j + offset[1] < scaled[1]:
                result[i, j] = whole[i + offset[0], j + offset[1]]
    return result[:, ::-1] if flip else result


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("scaled", [(8, 10), (13, 11), (16, 20), (23, 37)])
def test_labels_against_loops(scaled, density, flip):
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, (16, 20))
    labels[random.random(labels.shape) >= density] = UNLABELED
    labels[3:5, :4] = PADDING
    for offset, window in [((0, 0), scaled), ((3, 2), (5, 4)), ((-2, -3), (30, 44)), ((4, -1), (6, 9))]:
        expected = labels_oracle(labels, scaled, offset, window, flip)
        assert np.array_equal(cut(labels, scaled, offset, window, 2, flip), expected)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("scaled", [(3, 4), (16, 20), (23, 37), (5, 31), (40, 7), (1, 1)])
def test_whole_labels_follow_the_rule_of_the_windows(scaled, density, flip):
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, (16, 20))
    labels[random.random(labels.shape) >= density] = UNLABELED
    labels[3:5, :4] = PADDING
    found = resize_labels(tf.constant(labels, tf.uint8), scaled, tf.constant(flip)).numpy()
    assert np.array_equal(found, cut(labels, scaled, (0, 0), scaled, 20, flip))


@pytest.mark.parametrize("scaled", [(8, 10), (9, 17), (12, 13), (15, 19)])
def test_no_click_is_lost_on_a_smaller_grid(scaled):
    fast = tf.function(lambda labels: cut_labels(labels, scaled, (0, 0), scaled, 2, tf.constant(False))[0])
    for position in range(16 * 20):
        labels = np.full((16, 20), UNLABELED, np.uint8)
        labels[divmod(position, 20)] = 7
        assert (fast(tf.constant(labels)).numpy() == 7).sum() == 1, divmod(position, 20)


def test_a_click_beside_a_hole_is_not_lost():
    labels = np.full((4, 4), PADDING)
    labels[2, 2] = 1
    assert (cut(labels, (2, 2), (0, 0), (2, 2), 2) == 1).sum() == 1


@pytest.mark.parametrize("scaled", [(5, 7), (8, 10), (16, 20), (31, 33)])
def test_dense_labels_are_the_nearest_neighbor(scaled):
    labels = np.random.default_rng(0).integers(0, 200, (16, 20))
    rows = np.floor((np.arange(scaled[0]) + 0.5) * 16 / scaled[0]).astype(int)
    columns = np.floor((np.arange(scaled[1]) + 0.5) * 20 / scaled[1]).astype(int)
    assert np.array_equal(cut(labels, scaled, (0, 0), scaled, 4), labels[np.ix_(rows, columns)])


@pytest.mark.parametrize(("size", "scaled"), [(7, 7), (7, 4), (9, 3), (5, 12), (1, 3), (3, 1)])
def test_covers_hold_every_source_pixel_once_it_falls_in(size, scaled):
    reach = -(-size // scaled)
    covers = np.stack([index.numpy() for index in cover_index(0, scaled, scaled, size, reach)])
    nearest = source_index(0, scaled, scaled, size)[0].numpy()
    for place in range(scaled):
        falls = {y for y in range(size) if int((y + 0.5) * scaled / size) == place}
        assert set(covers[:, place].tolist()) | {nearest[place]} == falls | {nearest[place]}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("scaled", "offset"), [((10, 12), (0, 0)), ((14, 30), (3, -2)), ((5, 7), (-1, -1))])
def test_image_is_bilinear_at_pixel_centers(scaled, offset, flip):
    window = (9, 8)
    image = np.random.default_rng(0).random((10, 12, 2)).astype(np.float32)
    result = cut_image(
        tf.constant(image), tf.constant(scaled), tf.constant(offset), window, tf.constant(flip)
    )
    expected = np.zeros((*window, 2))
    for i in range(window[0]):
        for j in range(window[1]):
            y = np.clip((i + offset[0] + 0.5) * 10 / scaled[0] - 0.5, 0, 9)
            x = np.clip((j + offset[1] + 0.5) * 12 / scaled[1] - 0.5, 0, 11)
            a, b = min(int(y), 8), min(int(x), 10)
            v, u = y - a, x - b
            top = (1 - u) * image[a, b] + u * image[a, b + 1]
            bottom = (1 - u) * image[a + 1, b] + u * image[a + 1, b + 1]
            expected[i, j] = (1 - v) * top + v * bottom
    np.testing.assert_allclose(result, expected[:, ::-1] if flip else expected, atol=2e-5)
