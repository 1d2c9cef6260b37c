import mining_oracles
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg.ops import agreeing_labels, confident_labels

SHARES = (0.1, 0.4, 1 / 3, 1.0)


def example(size=(9, 11), classes=4, batch=3, seed=0):
    """Maps of which many values tie, one class is everywhere beaten, and one image is all alike."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, 12, (batch, *size, classes)) / 11
    maps[..., 2] = np.minimum(maps[..., 2], 0.5 * maps[..., 3])
    maps[-1] = 0.25
    return maps.astype("float32")


def expected(maps, keep_fraction, mask=None, tags=None):
    choose = zip(*([None] * len(maps) if x is None else x for x in (mask, tags)), strict=True)
    return np.stack(
        [mining_oracles.confident(m, keep_fraction, *rest) for m, rest in zip(maps, choose, strict=True)]
    )


@pytest.mark.parametrize("keep_fraction", SHARES)
def test_matches_the_loops(keep_fraction):
    maps = example()
    rng = np.random.default_rng(1)
    mask = rng.random(maps.shape[:3]) > 0.3
    tags = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1]], "float32")
    for given in ({}, {"mask": mask}, {"tags": tags}, {"mask": mask, "tags": tags}):
        out = np.array(confident_labels(maps, keep_fraction, **given))
        assert out.dtype == "int32"
        np.testing.assert_array_equal(out, expected(maps, keep_fraction, **given))


@pytest.mark.parametrize("keep_fraction", (0.05, 0.4, 0.6, 0.99))
def test_keeps_exactly_the_share_where_no_values_tie(keep_fraction):
    """Neighboring floats too: all digits of the numbers decide."""
    count = 40 * 50
    values = np.float32(0.7) + np.arange(count, dtype="float32") * np.float32(6e-8)
    values = np.unique(values)
    values = np.random.default_rng(0).permutation(np.resize(values, 1000)[: len(values)])
    maps = np.stack([0 * values, values], axis=-1).reshape(1, 1, -1, 2)
    out = np.array(confident_labels(maps, keep_fraction))[0, 0]
    want = round(keep_fraction * len(values))
    assert (out == 1).sum() == want
    assert values[out == 1].min() > values[out == 255].max()


def test_the_share_is_of_each_class_of_each_image():
    maps = np.zeros((2, 1, 10, 2), "float32")
    maps[0, 0, :5, 0] = [0.9, 0.8, 0.7, 0.6, 0.5]
    maps[0, 0, 5:, 1] = [0.05, 0.04, 0.03, 0.02, 0.01]
    maps[1, 0, :, 1] = np.linspace(0.1, 1, 10)
    out = np.array(confident_labels(maps, 0.4))
    np.testing.assert_array_equal(out[0, 0], [0, 0, 255, 255, 255, 1, 1, 255, 255, 255])
    np.testing.assert_array_equal(out[1, 0], [255] * 6 + [1] * 4)


def test_all_that_tie_with_the_last_one_stay():
    maps = np.zeros((1, 1, 5, 2), "float32")
    maps[0, 0, :, 0] = [1, 1, 1, 1, 0.5]
    np.testing.assert_array_equal(np.array(confident_labels(maps, 0.1))[0, 0], [0, 0, 0, 0, 255])


def test_the_share_is_counted_in_whole_numbers():
    """0.28 times 25 is 7.000000000000001 to a computer."""
    maps = np.linspace(0.1, 1, 25, dtype="float32").reshape(1, 1, 25, 1)
    assert (np.array(confident_labels(maps, 0.28)) == 0).sum() == 7


def test_zeros_of_either_sign_are_equal():
    maps = np.array([0.0, -0.0, 0.0], "float32").reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(np.array(confident_labels(maps, 0.1)), [[[0, 0, 0]]])


def test_one_pixel_and_none():
    maps = np.array([0.2, 0.7], "float32").reshape(1, 1, 1, 2)
    assert np.array(confident_labels(maps, 0.1)).tolist() == [[[1]]]
    assert np.array(confident_labels(maps, 0.1, mask=np.zeros((1, 1, 1)))).tolist() == [[[254]]]
    assert np.array(confident_labels(maps, 0.1, tags=np.array([[0, 0]]))).tolist() == [[[0]]]


def test_half_precision():
    maps = example().astype("float16")
    np.testing.assert_array_equal(np.array(confident_labels(maps, 0.4)), expected(maps, 0.4))


def test_agreement():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 254, 255], (2, 6, 7))
    others = rng.integers(0, 3, (2, 6, 7))
    out = np.array(agreeing_labels(labels.astype("uint8"), others))
    assert out.dtype == "int32"
    np.testing.assert_array_equal(out, mining_oracles.agreeing(labels, others))


def test_eager_graph_and_xla_agree():
    maps = example()
    mask = (np.random.default_rng(1).random(maps.shape[:3]) > 0.2).astype("float32")
    want = expected(maps, 0.4, mask > 0)

    def run(maps, mask):
        return confident_labels(maps, 0.4, mask)

    signature = [tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None, None, None])]
    for xla in (False, True):
        np.testing.assert_array_equal(tf.function(run, jit_compile=xla)(maps, mask), want)
        dynamic = tf.function(run, jit_compile=xla, input_signature=signature)
        np.testing.assert_array_equal(dynamic(maps, mask), want)
        maps_cut, mask_cut = maps[:1, :2], mask[:1, :2]
        np.testing.assert_array_equal(dynamic(maps_cut, mask_cut), expected(maps_cut, 0.4, mask_cut > 0))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"keep_fraction": 0}, r"`keep_fraction` must be a number above 0 .* Received: keep_fraction=0"),
        ({"keep_fraction": 1.1}, r"`keep_fraction` must be a number above 0 .* Received: keep_fraction=1.1"),
        (
            {"keep_fraction": True},
            r"`keep_fraction` must be a number above 0 .* Received: keep_fraction=True",
        ),
        ({"maps": np.zeros((4, 4, 3))}, r"\(batch, height, width, classes\). Received: shape \(4, 4, 3\)"),
        ({"tags": np.ones((1, 2))}, r"tags must have the shape \(1, 3\) .* Received: shape \(1, 2\)"),
        (
            {"mask": np.ones((1, 4, 5))},
            r"mask must have the shape \(1, 4, 4\) .* Received: shape \(1, 4, 5\)",
        ),
    ],
)
def test_bad_arguments(changes, text):
    arguments = {"maps": np.zeros((1, 4, 4, 3), "float32"), "keep_fraction": 0.4, **changes}
    with pytest.raises(ValueError, match=text):
        confident_labels(**arguments)


def test_what_is_no_number_is_no_label():
    maps = np.full((1, 2, 3, 2), 0.5, "float32")
    maps[0, 0, 0, 1] = np.nan
    maps[0, 1, 2] = np.inf
    found = np.array(confident_labels(maps, keep_fraction=1.0))
    assert found.tolist() == [[[255, 0, 0], [0, 0, 255]]]
