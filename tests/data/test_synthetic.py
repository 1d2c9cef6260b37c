import numpy as np
import pytest
from scipy import ndimage

from keras_wsseg.annotations import tags_of_labels
from keras_wsseg.data import synthetic_object, synthetic_shapes, synthetic_tags


def test_images_labels_and_names():
    images, labels, names = synthetic_shapes(12)
    assert images.shape == (12, 96, 96, 3) and images.dtype == np.uint8
    assert labels.shape == (12, 96, 96) and labels.dtype == np.uint8
    assert names == ("background", "ellipse", "polygon", "ring")
    share = np.bincount(labels.ravel(), minlength=4) / labels.size
    assert len(share) == 4 and share[0] < 0.9 and (share[1:] > 0.02).all()
    assert all((one > 0).any() for one in labels)


def test_seed_repeats_and_a_longer_run_begins_alike():
    images, labels, _ = synthetic_shapes(2, size=40, seed=7)
    more, more_labels, _ = synthetic_shapes(4, size=40, seed=7)
    assert np.array_equal(more[:2], images) and np.array_equal(more_labels[:2], labels)
    assert not np.array_equal(synthetic_shapes(2, size=40, seed=8)[0], images)


def test_rings_have_holes_and_the_others_none():
    _, labels, _ = synthetic_shapes(20)
    for class_id, holes_expected in ((1, False), (2, False), (3, True)):
        holes = [ndimage.binary_fill_holes(one == class_id).sum() - (one == class_id).sum() for one in labels]
        assert (sum(holes) > 100) == holes_expected


def test_color_tells_something_but_not_all():
    images, labels, _ = synthetic_shapes(20)
    means = np.stack([images[labels == class_id].mean(axis=0) for class_id in range(4)])
    nearest = np.linalg.norm(images[..., None, :] - means, axis=-1).argmin(axis=-1)
    recall = [(nearest == labels)[labels == class_id].mean() for class_id in range(4)]
    assert 0.4 < np.mean(recall) < 0.85


@pytest.mark.parametrize("num_classes", [2, 3])
def test_fewer_classes(num_classes):
    _, labels, names = synthetic_shapes(6, size=48, num_classes=num_classes)
    assert np.unique(labels).tolist() == list(range(num_classes)) and len(names) == num_classes


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 0}, "`count` must be an integer of at least 1. Received: count=0"),
        ({"size": 31}, "`size` must be an integer of at least 32. Received: size=31"),
        ({"num_classes": 1}, "`num_classes` must be an integer from 2 to 4. Received: num_classes=1"),
        ({"num_classes": 5}, "Received: num_classes=5"),
    ],
)
def test_arguments_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        synthetic_shapes(**{"count": 1, **arguments})


def test_one_object_lies_in_the_middle_or_nowhere():
    images, labels, names = synthetic_object(16, size=48)
    assert images.shape == (16, 48, 48, 3) and names == ("background", "ellipse")
    assert (labels[:, 22:26, 22:26] == 1).all()
    frame = np.ones((48, 48), bool)
    frame[3:-3, 3:-3] = False
    assert labels[:, frame].mean() < 0.02
    assert 0.2 < labels.mean() < 0.35
    again, _, _ = synthetic_object(2, size=48)
    assert np.array_equal(images[:2], again)
    empty, labels, _ = synthetic_object(3, size=48, present=False)
    assert not labels.any() and not np.array_equal(empty, images[:3])
    with pytest.raises(ValueError, match="`size` must be an integer of at least 32. Received: size=8"):
        synthetic_object(1, size=8)


def test_tags_say_what_the_labels_show():
    images, labels, tags, names = synthetic_tags(40, size=48)
    assert images.shape == (40, 48, 48, 3) and images.dtype == labels.dtype == np.uint8
    assert names == ("background", "disc", "square") and tags.dtype == np.float32
    assert np.array_equal(tags, [tags_of_labels(one, 3) for one in labels])
    assert np.unique(tags, axis=0, return_counts=True)[1].tolist() == [10, 10, 10, 10]
    share = np.array([[(one == class_id).mean() for class_id in (1, 2)] for one in labels])
    assert (share[tags[:, 1:] > 0] > 0.14).all() and share.max() < 0.35
    # In images of both, the square does not hide the disc.
    assert share[3::4].min() > 0.14
    assert len(np.unique(images.reshape(40, -1), axis=0)) == 40
    again, *_ = synthetic_tags(6, size=48)
    assert np.array_equal(again, images[:6]) and not np.array_equal(
        synthetic_tags(6, size=48, seed=1)[0], again
    )


def test_color_alone_does_not_solve_the_tagged_images():
    images, labels, _, _ = synthetic_tags(40, size=48)
    means = np.stack([images[labels == class_id].mean(axis=0) for class_id in range(3)])
    nearest = np.linalg.norm(images[..., None, :] - means, axis=-1).argmin(axis=-1)
    overlap = [
        ((nearest == k) & (labels == k)).sum() / ((nearest == k) | (labels == k)).sum() for k in (1, 2)
    ]
    assert 0.3 < np.mean(overlap) < 0.7


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 0}, "`count` must be an integer of at least 1. Received: count=0"),
        ({"count": 1, "size": 31}, "`size` must be an integer of at least 32. Received: size=31"),
    ],
)
def test_arguments_of_tagged_images_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        synthetic_tags(**arguments)
