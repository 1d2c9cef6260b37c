import numpy as np
import pytest

from keras_wsseg.data import SegmentationArrays

IMAGES, LABELS = np.zeros((2, 4, 5, 3), np.uint8), np.ones((2, 4, 5), int)


def test_what_is_not_said_follows_from_the_arrays():
    arrays = SegmentationArrays(IMAGES, LABELS)
    assert (len(arrays), arrays.num_classes, arrays.class_names) == (2, 2, ("0", "1"))
    assert (arrays.channels, arrays.value_range, arrays.names) == (3, (0, 255), ("0", "1"))
    image, labels = arrays.load(1)
    assert image.shape == (4, 5, 3) and labels.dtype == np.uint8
    assert SegmentationArrays(IMAGES.astype(np.uint16), LABELS).value_range == (0, 65535)
    floats = SegmentationArrays(IMAGES[..., 0] + 0.5, LABELS, value_range=(0, 1), names="ab")
    assert floats.dtype == np.float32 and floats.load(0)[0].shape == (4, 5, 1) and floats.names == ("a", "b")


@pytest.mark.parametrize(
    ("images", "labels", "arguments", "text"),
    [
        ([], [], {}, "Received: 0 images and 0 label maps"),
        (IMAGES, LABELS[:1], {}, "Received: 2 images and 1 label maps"),
        (IMAGES, LABELS, {"names": ["a"]}, "name all 2 images. Received: 1 names"),
        (IMAGES[:, 0, 0], LABELS, {}, r"image '0' must have shape .* Received: shape \(3,\)"),
        (
            [IMAGES[0], IMAGES[1, ..., :1]],
            LABELS,
            {},
            "the 3 channels of uint8 .* Received: 1 of uint8 in '1'",
        ),
        (IMAGES, [LABELS[0], LABELS[1, :2]], {}, r"of '1' must have the same size.* labels \(2, 5\)"),
        (
            IMAGES,
            LABELS * 300,
            {},
            r"`labels\[0\]` must hold ids from 0 to 255. Received: ids from 300 to 300",
        ),
        (
            IMAGES,
            LABELS,
            {"num_classes": 1},
            r"labels of '0' must be 0 to 0, 254 or 255. Received: class id 1",
        ),
        (IMAGES, LABELS, {"num_classes": 3, "class_names": "ab"}, "name all 3 classes. Received: 2 names"),
        (IMAGES * 1.0, LABELS, {}, "must be given for floating point images. Received: value_range=None"),
        (
            IMAGES + 2.0,
            LABELS,
            {"value_range": (0, 1)},
            r"image '0' .*\(0, 1\). Received: values from 2 to 2",
        ),
        (IMAGES, LABELS, {"value_range": (0, float("inf"))}, r"Received: value_range=\(0, inf\)"),
    ],
)
def test_arguments_are_checked(images, labels, arguments, text):
    with pytest.raises(ValueError, match=text):
        SegmentationArrays(images, labels, **arguments)


def test_types_are_checked():
    with pytest.raises(
        TypeError, match=r"image '0' must be uint8, uint16 or floating point. Received: int64"
    ):
        SegmentationArrays(IMAGES.astype(np.int64), LABELS)
    with pytest.raises(TypeError, match=r"`labels\[0\]` must hold integers"):
        SegmentationArrays(IMAGES, LABELS * 1.0)


def test_negatives_are_background_everywhere():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    dataset = SegmentationArrays(images, np.full((3, 8, 8), 255), num_classes=2, negatives=images[:2] + 200)
    batch, labels = next(iter(dataset.train(3, 8, mode="resize", negative_batch=1)))
    assert sorted(labels.numpy()[:, 0, 0]) == [0, 255, 255]
    assert (batch.numpy()[:, 0, 0, 0] == np.where(labels.numpy()[:, 0, 0] == 0, 200, 0)).all()
    with pytest.raises(ValueError, match="`negatives` must hold at least one image or be None"):
        SegmentationArrays(images, np.full((3, 8, 8), 255), num_classes=2, negatives=[])


def test_tags_stand_for_labels_or_beside_them():
    tags = np.array([[True, False, True], [True, True, False]])
    arrays = SegmentationArrays(IMAGES, tags=tags)
    assert (arrays.num_classes, arrays.class_names) == (3, ("0", "1", "2"))
    assert arrays.tags.dtype == np.float32 and np.array_equal(arrays.tags, tags)
    assert (arrays.load(0)[1] == 255).all() and arrays.load(0)[1].shape == (4, 5)
    _, known = next(iter(arrays.train(2, 4, mode="resize", shuffle=False)))
    assert np.array_equal(known["tags"], tags) and (known["labels"].numpy() == 255).all()
    named = SegmentationArrays(IMAGES, LABELS, class_names="abc", tags=tags)
    assert named.class_names == ("a", "b", "c")
    _, known = next(iter(named.validation(2)))
    assert np.array_equal(known["tags"], tags) and (known["labels"].numpy() == 1).all()
    assert SegmentationArrays(IMAGES, LABELS).tags is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "`labels` must be given unless `tags` are. Received: labels=None"),
        ({"tags": [[1, 0]]}, r"\(images, classes\), \(2, 2\). Received: tags.shape=\(1, 2\)"),
        ({"tags": [[1, 0]] * 2, "num_classes": 3}, r"\(2, 3\). Received: tags.shape=\(2, 2\)"),
        ({"tags": [1, 0], "num_classes": 2}, r"Received: tags.shape=\(2,\)"),
        (
            {"tags": [[1, 0], [0, 1]]},
            r"1 in column 0, since every image has background. Received: \[0, 1\] of '1'",
        ),
        ({"tags": [[1, 0.5], [1, 1]]}, r"Received: \[1.0, 0.5\] of '0'"),
        (
            {"tags": [[1, 0], [1, 1]], "negatives": IMAGES},
            "`negatives` must be None with `tags`, .* Received: 2 images in `negatives`",
        ),
        ({"tags": [[1, 0], [1, 1]], "unlabeled": IMAGES[:1]}, "`unlabeled` must be None with `tags`"),
    ],
)
def test_tags_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        SegmentationArrays(IMAGES, **arguments)
