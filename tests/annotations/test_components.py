import numpy as np

from keras_wsseg.annotations.components import components


def listed(labels, instances=None):
    labels = np.array(labels, np.uint8)
    found = []
    for class_id, window, mask in components(labels, None if instances is None else np.array(instances)):
        whole = np.zeros(labels.shape, bool)
        whole[window] = mask
        assert (labels[whole] == class_id).all()
        found.append((class_id, np.flatnonzero(whole).tolist()))
    return found


def test_diagonal_neighbors_belong_together_and_reserved_values_to_nothing():
    assert listed([[0, 1, 254], [1, 0, 255]]) == [(0, [0, 4]), (1, [1, 3])]


def test_a_known_instance_that_is_cut_apart_is_two_things():
    labels = [[1, 1, 0, 1, 1, 0, 1]]
    assert listed(labels, [[5, 5, 0, 5, 0, 0, 0]]) == [
        (0, [2]),
        (0, [5]),
        (1, [0, 1]),
        (1, [3]),
        (1, [4]),
        (1, [6]),
    ]


def test_instances_that_touch_are_two_things():
    assert listed([[1, 1, 1]], [[2, 9, 9]]) == [(1, [0]), (1, [1, 2])]


def test_nothing_annotated():
    assert listed([[255, 254]]) == []
