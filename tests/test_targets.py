import numpy as np
import pytest

from keras_wsseg import targets


@pytest.mark.parametrize("last_axis", (False, True))
@pytest.mark.parametrize("dtype", ("uint8", "int64", "float32", "float16"))
def test_what_is_packed_comes_back(dtype, last_axis):
    values = np.array([[[0, 20, 253], [254, 255, 1]]])
    given = values.astype(dtype)[..., None] if last_axis else values.astype(dtype)
    guide = np.random.default_rng(0).random((1, 2, 3, 3)).astype("float32")
    for seen in (targets.read(targets.pack(given, guide)), targets.Targets.of(given, {"rgb": guide})):
        assert targets.read(seen) is seen and seen.tags is None
        np.testing.assert_array_equal(np.array(seen.labels), values)
        np.testing.assert_array_equal(np.array(seen.guide["rgb"]), guide)


def test_plain_labels_have_no_guide():
    seen = targets.read(np.full((1, 2, 2, 1), 255))
    assert seen.guide == {} and seen.tags is None and seen.labels.shape == (1, 2, 2)


def test_what_is_not_finite_counts_as_zero_outside_the_image_alone():
    labels = np.array([[[254, 0]]])
    guide = np.full((1, 1, 2, 1), np.nan, "float32")
    for seen in (targets.read(targets.pack(labels, guide)), targets.Targets.of(labels, {"rgb": guide})):
        assert np.isnan(np.array(seen.guide["rgb"])).ravel().tolist() == [False, True]


def test_layout_names_the_channels_only_while_it_is_active():
    packed = np.arange(5.0).reshape(1, 1, 1, 5)
    with targets.guide_layout(rgb=3, depth=1):
        parts = {name: np.array(part).tolist() for name, part in targets.read(packed).guide.items()}
    assert parts == {"rgb": [[[[1, 2, 3]]]], "depth": [[[[4]]]]}
    assert list(targets.read(packed).guide) == ["rgb"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: targets.pack(np.zeros((1, 4, 5)), np.zeros((1, 4, 6, 3))),
            "must have the same width. Received",
        ),
        (
            lambda: targets.pack(np.zeros((1, 4, 5, 2)), np.zeros((1, 4, 5, 3))),
            r"labels must be \(batch, height",
        ),
        (
            lambda: targets.pack(np.zeros((1, 4, 5)), np.zeros((1, 4, 5))),
            r"guide must be .* shape \(1, 4, 5\)",
        ),
        (lambda: targets.read(np.zeros((4, 5))), r"y_true must be .* Received: shape \(4, 5\)"),
    ],
)
def test_wrong_shapes_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_layout_must_fit():
    with targets.guide_layout(depth=2), pytest.raises(ValueError, match="guide must have the 2 channels"):
        targets.read(np.zeros((1, 2, 2, 4)))


def test_tags_come_back_and_leave_the_guide_alone():
    guide, labels = np.random.default_rng(0).random((2, 4, 5, 3), "float32"), np.full((2, 4, 5), 255)
    tags = np.array([[0, 1, 0, 1], [1, 0, 0, 0]])
    with targets.guide_layout(rgb=3, tags=4):
        packed = targets.pack(labels, guide, tags)
        seen = targets.read(packed)
    assert packed.shape == (2, 4, 5, 8)
    for one in (seen, targets.Targets.of(labels, {"rgb": guide}, tags)):
        with pytest.raises(ValueError, match="tags must cover the 5 .* Received: tags of 4"):
            one.present(5)
        assert np.array(one.present(4)).tolist() == [[1, 1, 0, 1], [1, 0, 0, 0]]
        assert list(one.guide) == ["rgb"]
        np.testing.assert_array_equal(np.array(one.guide["rgb"]), guide)


def test_without_tags_the_labels_tell_them_whatever_the_guide():
    labels = np.array([[[255, 3], [254, 1]], [[254, 255], [0, 0]]])
    want = [[1, 1, 0, 1], [1, 0, 0, 0]]
    assert np.array(targets.read(labels).present(4)).tolist() == want
    with targets.guide_layout(rgb=4):
        packed = targets.pack(labels, np.ones((2, 2, 2, 4), "float32"))
        assert np.array(targets.read(packed).present(4)).tolist() == want


def test_tags_must_be_a_row_an_image():
    with pytest.raises(ValueError, match=r"tags must be \(batch, classes\). Received: shape \(4,\)"):
        targets.pack(np.zeros((1, 4, 5)), np.zeros((1, 4, 5, 3)), np.zeros(4))
