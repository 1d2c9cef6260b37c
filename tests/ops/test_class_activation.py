import mining_oracles
import numpy as np
import pytest

from keras_wsseg.ops import class_activation_maps


def example(sizes=((3, 4), (6, 7)), classes=4, batch=3, seed=0):
    rng = np.random.default_rng(seed)
    scores = [rng.normal(size=(batch, *size, classes - 1)).astype("float32") for size in sizes]
    tags = np.array([[1, 1, 0, 1], [1, 0, 1, 0], [1, 0, 0, 0]], "float32")
    return scores, tags


def expected(scores, tags, size, background_exponent, mask=None):
    return np.stack(
        [
            mining_oracles.class_activation(
                [one[i] for one in scores],
                tags[i],
                size,
                background_exponent,
                None if mask is None else mask[i] > 0,
            )
            for i in range(len(tags))
        ]
    )


@pytest.mark.parametrize("background_exponent", (1, 4.0, 0.5))
@pytest.mark.parametrize("size", ((6, 7), (9, 5)))
def test_matches_the_loops(size, background_exponent):
    scores, tags = example()
    mask = (np.random.default_rng(1).random((3, *size)) > 0.3).astype("float32")
    for given in (None, mask):
        out = np.array(class_activation_maps(scores, tags, size, background_exponent, given))
        np.testing.assert_allclose(out, expected(scores, tags, size, background_exponent, given), atol=2e-6)
        assert out.dtype == "float32"


def test_a_class_without_a_positive_score_stays_zero():
    scores = [np.full((1, 2, 2, 2), -1.0, "float32")]
    scores[0][..., 1] = 0.0
    maps = np.array(class_activation_maps(scores, np.ones((1, 3)), (4, 4)))
    np.testing.assert_allclose(maps, np.broadcast_to([1.0, 0.0, 0.0], maps.shape), rtol=1e-6)


def test_classes_that_are_not_tagged_stay_zero_and_leave_the_background_alone():
    scores, tags = example()
    maps = np.array(class_activation_maps(scores, tags, (6, 7)))
    for i, row in enumerate(tags):
        for c in range(1, 4):
            assert maps[i, ..., c].max() == pytest.approx(row[c])
    np.testing.assert_allclose(maps[2, ..., 0], 1, rtol=1e-6)


def test_the_largest_value_outside_does_not_count():
    scores = np.array([8.0, 1.0, 2.0], "float32").reshape(1, 1, 3, 1)
    mask = np.array([[[0, 1, 1]]])
    maps = np.array(class_activation_maps([scores], np.ones((1, 2)), (1, 3), 1.0, mask))
    np.testing.assert_allclose(maps[0, 0], [[1, 0], [0.5, 0.5], [0, 1]], rtol=1e-6)
    nothing = np.array(class_activation_maps([scores], np.ones((1, 2)), (1, 3), 1.0, 0 * mask))
    np.testing.assert_allclose(nothing[0, 0], [[1, 0]] * 3, rtol=1e-6)


def test_values_of_extreme_size_stay_finite():
    for factor in (1e-37, 1e30):
        scores, tags = example()
        maps = np.array(class_activation_maps([factor * one for one in scores], tags, (6, 7), 0.5))
        assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"background_exponent": 0},
            "`background_exponent` must be a number above 0. Received: background_exponent=0",
        ),
        (
            {"background_exponent": "4"},
            "`background_exponent` must be a number above 0. Received: background_exponent='4'",
        ),
        ({"score_maps": []}, "a non-empty list of tensors. Received: an empty list"),
        ({"score_maps": np.zeros((1, 2, 2, 2))}, "list of tensors. Received: <class 'numpy.ndarray'>"),
        ({"tags": np.ones((3,))}, r"tags must be \(batch, classes\). Received: shape \(3,\)"),
        ({"tags": np.ones((1, 2))}, r"Received: score_maps of shape \(1, 2, 2, 2\), tags of shape \(1, 2\)"),
        ({"mask": np.ones((1, 4, 4, 1))}, r"mask must be .* Received: shape \(1, 4, 4, 1\)"),
    ],
)
def test_bad_arguments(changes, text):
    arguments = {"score_maps": [np.zeros((1, 2, 2, 2))], "tags": np.ones((1, 3)), "size": (4, 4), **changes}
    with pytest.raises(ValueError, match=text):
        class_activation_maps(**arguments)
