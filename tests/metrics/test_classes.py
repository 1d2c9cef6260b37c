import numpy as np
import pytest

from keras_wsseg.metrics.classes import class_count, class_ids, ignored_classes


def test_accepts_numpy_integers():
    assert class_count(np.int64(3)) == 3
    assert class_ids("classes", np.array([2, 1, 1]), 3) == (1, 2)


def test_one_class_or_several_are_ignored():
    assert ignored_classes(None, 3) == ()
    assert ignored_classes(2, 3) == ignored_classes(np.int64(2), 3) == ignored_classes([2], 3) == (2,)
    assert ignored_classes((2, 0), 3) == (0, 2)
    for wrong in (3, [0, 3], "void"):
        with pytest.raises(ValueError, match="`ignore_class` must hold class ids from 0 to 2. Received: "):
            ignored_classes(wrong, 3)


@pytest.mark.parametrize("count", [1, 0, 255])
def test_class_count_out_of_range(count):
    with pytest.raises(ValueError, match=f"must be an integer from 2 to 254. Received: num_classes={count}$"):
        class_count(count)


def test_class_count_not_an_integer():
    with pytest.raises(ValueError, match=r"must be an integer from 2 to 254. Received: num_classes=2.5$"):
        class_count(2.5)


@pytest.mark.parametrize("ids", [[3], [-1, 0]])
def test_class_ids_out_of_range(ids):
    with pytest.raises(ValueError, match=r"`classes` must hold class ids from 0 to 2. Received: classes="):
        class_ids("classes", ids, 3)


@pytest.mark.parametrize("ids", [1, ["a"], [True]])
def test_class_ids_not_a_list_of_integers(ids):
    with pytest.raises(ValueError, match=r"`classes` must hold class ids from 0 to 2. Received: classes="):
        class_ids("classes", ids, 3)
