import keras
import numpy as np
import pytest
from brought_models import ENDINGS, brought, keras_says

from keras_wsseg.data import SegmentationArrays
from keras_wsseg.training import class_map, evaluate
from keras_wsseg.training.evaluation import check_groups


def dataset(labels, predictions, **kwargs):
    """Images whose values are to be the prediction."""
    return SegmentationArrays(np.asarray(predictions, np.uint8), np.asarray(labels, np.uint8), **kwargs)


def read_off(image):
    return image[..., 0]


@pytest.mark.parametrize("name", ENDINGS)
def test_class_map_of_a_model_with_a_last_activation(name):
    segmenter, image = brought(name), np.random.default_rng(0).uniform(0, 255, (9, 7, 3))
    expected = keras_says(segmenter, image[None].astype("float32"))[0].argmax(-1)
    assert expected.std() > 0
    np.testing.assert_array_equal(class_map(segmenter, image), expected)


def test_class_maps_of_several_sizes_from_a_model_that_upsamples_bilinearly():
    segmenter = brought("softmax", upsampling="bilinear")
    for height, width in ((8, 10), (12, 6), (14, 22)):
        image = np.random.default_rng(0).uniform(0, 255, (height, width, 3)).astype("float32")
        expected = np.array(segmenter(image[None]))[0].argmax(-1)
        np.testing.assert_array_equal(class_map(segmenter, image), expected)


def test_scores_by_hand():
    labels = [[[0, 0, 1, 1]], [[0, 1, 1, 255]]]
    predictions = [[[0, 1, 1, 1]], [[0, 1, 0, 1]]]
    data = dataset(labels, predictions, num_classes=3, class_names=("ground", "tree", "car"))
    scores = evaluate(read_off, data)
    # Pooled: ground 2 hit, 1 lost, 1 wrongly found; tree 3 hit, 1 lost, 1 wrongly found; no car.
    assert scores.iou == {"ground": pytest.approx(2 / 4), "tree": pytest.approx(3 / 5), "car": None}
    assert scores.dice == {"ground": pytest.approx(4 / 6), "tree": pytest.approx(6 / 8), "car": None}
    assert scores.mean_iou == pytest.approx((2 / 4 + 3 / 5) / 2)
    assert scores.mean_dice == pytest.approx(6 / 8)
    # (1 + 0.3) hits / (0.3 true + found).
    assert scores.f_beta == {
        "ground": pytest.approx(1.3 * 2 / (0.3 * 3 + 3)),
        "tree": pytest.approx(1.3 * 3 / (0.3 * 4 + 4)),
        "car": None,
    }
    assert (scores.images, scores.groups) == (2, 1)


def test_groups_are_scored_apart_and_averaged():
    labels = [[[0, 1, 1, 1]], [[0, 1, 1, 1]], [[1, 1, 1, 1]]]
    predictions = [[[0, 1, 1, 1]], [[0, 0, 0, 1]], [[1, 1, 1, 0]]]
    data = dataset(labels, predictions, num_classes=2, names=("a_1", "b_1", "b_2"))
    seen = []
    scores = evaluate(
        read_off, data, r"^(\w)_", progress=lambda indices: seen.append(list(indices)) or indices
    )
    first, second = 1.0, 2 * 4 / (2 * 4 + 3)
    assert scores.mean_dice == pytest.approx((first + second) / 2)
    assert scores.groups == 2
    assert scores.f_beta["1"] == pytest.approx(1.3 * 7 / (0.3 * 10 + 7))
    assert scores.mean_iou == pytest.approx(((2 / 5) + (7 / 10)) / 2)
    assert seen == [[0, 1, 2]]


def test_group_by_must_fit_every_name():
    assert check_groups(None, ("a", "b")) == ["all", "all"]
    with pytest.raises(ValueError, match=r"Received: group_by='\(p\)', which does not match 'q1'"):
        check_groups("(p)", ("p1", "q1"))
    with pytest.raises(ValueError, match="which does not match 'b'"):
        check_groups("(a)|b", ("a", "b"))


def test_class_map_brings_logits_to_the_image():
    image = keras.Input((None, None, 1))
    bright = keras.layers.AveragePooling2D(2)(image)
    logits = keras.layers.Concatenate()([keras.layers.Rescaling(-1.0, 255.0)(bright), bright])
    array = np.zeros((4, 6, 1), np.uint8)
    array[:, 3:] = 255
    expected = np.tile([0, 0, 0, 1, 1, 1], (4, 1))
    found = class_map(keras.Model(image, logits), array)
    assert found.shape == (4, 6)
    # The border lies inside a cell of the coarse logits; away from it the classes are certain.
    np.testing.assert_array_equal(found[:, [0, 1, 4, 5]], expected[:, [0, 1, 4, 5]])


def test_groups_are_told_whatever_the_form_of_letters():
    assert check_groups("(\u00e4|b)_", ("a\u0308_1", "b_1")) == ["\u00e4", "b"]
    assert check_groups("(a\u0308|b)_", ("\u00e4_1", "b_1")) == ["\u00e4", "b"]
