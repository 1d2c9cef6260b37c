import json

import keras
import mining_oracles
import numpy as np
import oracles
import pytest
import tensorflow as tf
import ways

from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import ClassActivationMap, MeanFieldCRF, ReliableRegions
from keras_wsseg.ops import confident_labels

KERNELS = [GaussianKernel(weight=1.0, sigma_xy=2), GaussianKernel(weight=4.0, sigma_xy=5, sigma_rgb=0.2)]
TAGS = np.array([[1, 1, 0, 1], [1, 0, 1, 1]], "float32")


def example(size=(7, 10), classes=4, seed=0):
    """Soft maps and an image of patches of color."""
    rng = np.random.default_rng(seed)
    height, width = size

    def patches(channels):
        coarse = rng.uniform(0, 1, (2, height // 3 + 1, width // 3 + 1, channels))
        return np.kron(coarse, np.ones((1, 3, 3, 1)))[:, :height, :width]

    maps = 0.6 * patches(classes) + 0.4 * rng.random((2, height, width, classes))
    maps[0, 0, 0, :2] = [0, 1]
    return maps.astype("float32"), (255 * patches(3)).astype("float32")


def expected(maps, image, share, radius, iterations, inside=None):
    """Classes that are not tagged are left out of the arrays; those outside have a class of their own."""
    out = []
    for i, present in enumerate(TAGS > 0):
        known = np.flatnonzero(present)
        logits = np.log(np.maximum(maps[i][..., known].astype("float64"), 1e-7))
        mask = None if inside is None else inside[i] > 0
        if mask is not None:
            logits = np.concatenate([logits, np.full((*mask.shape, 1), -1e4)], axis=-1)
            logits[~mask] = [-1e4] * len(known) + [0]
        features = [None, image[i].astype("float64") / 255 / 0.2]
        with np.errstate(divide="ignore"):
            refined = oracles.mean_field(
                logits, features, [2, 5], [1, 4], radius, None, iterations, "symmetric", radius is None
            )
        others = known[refined[..., : len(known)].argmax(-1)]
        labels = mining_oracles.confident(maps[i], share, mask, TAGS[i])
        out.append(mining_oracles.agreeing(labels, others))
    return np.stack(out)


@pytest.mark.parametrize("from_logits", (False, True))
@pytest.mark.parametrize("radius", (None, 3))
def test_matches_the_loops(radius, from_logits):
    maps, image = example()
    inside = np.ones(maps.shape[:3], "float32")
    inside[:, 4:, :3] = inside[1, :, 8:] = 0
    crf = MeanFieldCRF(radius, KERNELS, iterations=4, from_logits=from_logits)
    for share in (0.4, 1.0):
        layer = ReliableRegions(share, crf)
        out = np.array(layer([maps, image, TAGS]))
        want = expected(maps, image, share, radius, 4)
        np.testing.assert_array_equal(out, want)
        sure = np.array(confident_labels(maps, share, tags=TAGS))
        assert (want == 255).sum() > (sure == 255).sum()
        np.testing.assert_array_equal(
            layer([maps, image, TAGS, inside]), expected(maps, image, share, radius, 4, inside)
        )


def test_classes_that_are_not_tagged_never_appear():
    maps, image = example()
    maps[0, ..., 2] = maps[1, ..., 1] = 2.0
    for crf in (None, MeanFieldCRF(2, KERNELS)):
        out = np.array(ReliableRegions(1.0, crf)([maps, image, TAGS]))
        assert 2 not in out[0] and 1 not in out[1]
        assert {0, 1, 3} <= set(out[0].ravel())
        only = np.array(ReliableRegions(1.0, crf)([maps, image, 0 * TAGS]))
        np.testing.assert_array_equal(only, 0)


def test_without_a_crf_the_sure_pixels_are_the_labels():
    maps, image = example()
    out = ReliableRegions(0.3, crf=None)([maps, image, TAGS])
    np.testing.assert_array_equal(out, confident_labels(maps, 0.3, tags=TAGS))


def test_pixels_outside_have_no_say():
    """Without normalization an image with padding has the labels of the image cut to its pixels."""
    maps, image = example((9, 14))
    crf = MeanFieldCRF(3, [GaussianKernel(weight=0.3, sigma_xy=3)], iterations=5, normalization="none")
    layer = ReliableRegions(0.8, crf)
    inside = np.zeros(maps.shape[:3])
    inside[:, :7, :9] = 1
    alone = np.array(layer([maps[:, :7, :9], image[:, :7, :9], TAGS]))
    out = np.array(layer([maps, image, TAGS, inside]))
    np.testing.assert_array_equal(out[:, :7, :9], alone)
    assert (out[:, 7:] == 254).all() and (out[:, :, 9:] == 254).all()
    counted = np.array(layer([maps, image, TAGS]))
    assert (counted[:, :7, :9] != alone).any()
    nothing = np.array(layer([maps, image, TAGS, 0 * inside]))
    np.testing.assert_array_equal(nothing, 254)


def test_the_published_crf():
    """A round map on a square thing: the labels leave the corners of the map's error out."""
    image = np.full((1, 24, 24, 3), 40, "float32")
    image[:, 6:18, 6:18] = 210
    thing = image[..., 0] > 100
    rows, columns = np.mgrid[:24, :24]
    blob = np.exp(-((rows - 8) ** 2 + (columns - 8) ** 2) / (2 * 6.0**2))[None]
    maps = np.stack([(1 - blob) ** 4, blob], -1).astype("float32")
    layer = ReliableRegions(keep_fraction=1.0)
    assert (layer.crf.iterations, layer.crf.radius, layer.crf.from_logits) == (10, None, False)
    assert [kernel.get_config() for kernel in layer.crf.kernels] == [
        kernel.get_config() for kernel in MeanFieldCRF().kernels
    ]
    out = np.array(layer([maps, image, np.ones((1, 2))]))
    labeled = out != 255
    wrong_maps = np.mean((maps.argmax(-1) == 1) != thing)
    assert wrong_maps > 0.1
    assert 0.5 < labeled.mean() < 1
    assert np.mean((out == 1)[labeled] != thing[labeled]) < 0.3 * wrong_maps


def test_a_crf_by_name_has_the_published_coupling():
    crf = ReliableRegions(crf="windowed", value_range=(0, 1)).crf
    assert (crf.iterations, crf.radius, crf.from_logits, crf.value_range) == (10, 5, False, (0, 1))
    assert [kernel.weight for kernel in crf.kernels] == pytest.approx([3.0, 10.0])
    with pytest.raises(ValueError, match="`preset` must be one of windowed, dense. Received: preset='wide'"):
        ReliableRegions(crf="wide")


@pytest.mark.parametrize("xla", (False, True))
def test_sizes_that_are_known_at_run_time_only(xla):
    layer = ReliableRegions(0.4, MeanFieldCRF(2, KERNELS, iterations=2))

    def run(maps, image, inside):
        return layer([maps, image, TAGS, inside])

    signature = [tf.TensorSpec([2, None, None, 4]), tf.TensorSpec([2, None, None, 3])]
    signature.append(tf.TensorSpec([2, None, None]))
    dynamic = tf.function(run, jit_compile=xla, input_signature=signature)
    for size in ((9, 5), (1, 1)):
        maps, image = (tf.constant(x) for x in example(size))
        inside = tf.cast(maps[..., 0] < 0.7, "float32")
        np.testing.assert_array_equal(dynamic(maps, image, inside), run(maps, image, inside))


@pytest.mark.any_backend
def test_maps_and_labels_in_every_way():
    image = example()[1]
    inside = np.ones(image.shape[:3], "float32")
    inside[:, 5:, 4:] = 0
    inputs = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(3, 1, use_bias=False)
    cam = ClassActivationMap(keras.Model(inputs, conv(inputs)), scales=(1.0, 0.5))
    conv.set_weights([np.random.default_rng(3).normal(size=(1, 1, 3, 3))])
    regions = [ReliableRegions(0.4, MeanFieldCRF(radius, KERNELS)) for radius in (3, None)]

    def run(image, tags, inside):
        maps = cam([image, tags, inside])
        return [maps, *(layer([maps, image, tags, inside]) for layer in regions)]

    for run_so in ways.compiled(run, *ways.QUICK_WAYS):
        maps, *labels = (np.asarray(x) for x in run_so(image, TAGS, inside))
        # As found eagerly on TensorFlow.
        np.testing.assert_allclose(
            ways.fingerprint(maps), [11.25662, 0.007419888, -0.5410431, 0.6390424], atol=1e-5
        )
        for found, radius in zip(labels, (3, None), strict=True):
            assert (found != 255).any()
            want = expected(maps, image, 0.4, radius, regions[0].crf.iterations, inside)
            np.testing.assert_array_equal(found, want)


def test_half_precision_policy():
    maps, image = example()
    crf = {"radius": 2, "kernels": KERNELS}
    want = ReliableRegions(0.4, MeanFieldCRF(**crf))([maps, image, TAGS])
    for policy in ("mixed_float16", "float16"):
        layer = ReliableRegions(0.4, MeanFieldCRF(**crf, dtype=policy), dtype=policy)
        out = layer([maps, image, TAGS])
        assert out.dtype == "int32"
        np.testing.assert_array_equal(out, want)
    assert ReliableRegions(dtype="float16").crf.compute_dtype == "float32"


@pytest.mark.parametrize(
    "settings",
    [
        {"keep_fraction": 0.2, "value_range": (-1, 1)},
        {"crf": None},
        {"crf": "windowed", "value_range": (0, 1)},
        {"crf": MeanFieldCRF(2, KERNELS, value_range=(0, 1), name="given")},
    ],
)
def test_config(settings):
    layer = ReliableRegions(**settings, name="mining")
    config = json.loads(json.dumps(layer.get_config()))
    again = ReliableRegions.from_config(config)
    assert again.get_config() == layer.get_config()
    assert (again.crf is None) == (layer.crf is None)
    if layer.crf is not None:
        assert again.crf.get_config() == layer.crf.get_config()
    if "crf" not in settings:
        assert layer.crf.value_range == settings["value_range"]


class SelfTaught(keras.Model):
    """Scores of each place that learn the labels mined from them."""

    def __init__(self):
        super().__init__()
        inputs = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        scores = keras.layers.Conv2D(2, 1, use_bias=False)(x)
        self.scores = keras.Model(inputs, scores)
        self.background = keras.layers.Conv2D(3, 1)
        self.cam = ClassActivationMap(self.scores, scales=(1.0, 0.5))
        self.mining = ReliableRegions(0.5, MeanFieldCRF(2, iterations=2))

    def build(self, input_shape):
        self.background.build((None, None, None, 2))

    def call(self, inputs):
        return self.background(self.scores(inputs))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels = self.mining([self.cam([x, y]), x, y])
        known = keras.ops.cast(labels < 3, "float32")
        safe = keras.ops.where(labels < 3, labels, 0)
        cost = keras.ops.sparse_categorical_crossentropy(safe, y_pred, from_logits=True)
        return keras.ops.sum(known * cost) / keras.ops.maximum(keras.ops.sum(known), 1)


def test_fit_on_labels_mined_in_the_step():
    keras.utils.set_random_seed(0)
    image = example((12, 12))[1]
    tags = np.array([[1, 1, 1], [1, 0, 1]], "float32")
    model = SelfTaught()
    model.compile(keras.optimizers.Adam(0.05), jit_compile=True)
    losses = model.fit(image, tags, epochs=15, batch_size=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < 0.8 * losses[0]


def test_saved_model(tmp_path):
    inputs, tags = keras.Input((None, None, 3)), keras.Input((4,))
    scores = keras.Model(inputs, keras.layers.Conv2D(3, 1, use_bias=False)(inputs))
    maps = ClassActivationMap(scores, scales=(1.0, 0.5))([inputs, tags])
    labels = ReliableRegions(0.4, MeanFieldCRF(2, KERNELS))([maps, inputs, tags])
    model = keras.Model([inputs, tags], labels)
    assert model.output_shape == (None, None, None) and model.outputs[0].dtype == "int32"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    pair = [example()[1], TAGS]
    np.testing.assert_array_equal(loaded(pair), model(pair))


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        (
            {"keep_fraction": 0.0},
            ValueError,
            r"`keep_fraction` must be a number above 0 .* Received: keep_fraction=0.0",
        ),
        ({"crf": True}, TypeError, "its serialized config or None. Received: crf=True"),
        (
            {"crf": keras.layers.ReLU()},
            TypeError,
            "its serialized config or None. Received: crf=<ReLU",
        ),
        (
            {"crf": MeanFieldCRF(2, compatibility="trainable")},
            ValueError,
            "compatibility 'potts'.* Received: a MeanFieldCRF with compatibility='trainable'",
        ),
        ({"value_range": (1, 0)}, ValueError, "`value_range` must be two finite numbers"),
    ],
)
def test_bad_arguments(settings, error, text):
    with pytest.raises(error, match=text):
        ReliableRegions(**settings)


def test_inputs_that_do_not_fit():
    maps, image = example()
    text = r"\[maps, image, tags\] or \[maps, image, tags, inside\]. Received: shape="
    with pytest.raises(ValueError, match=text):
        ReliableRegions()([maps, image])
    with pytest.raises(ValueError, match=r"tags must have the shape \(2, 4\) .* Received: shape \(2, 3\)"):
        ReliableRegions()([maps, image, TAGS[:, :3]])
    with pytest.raises(ValueError, match=r"\(2, 7, 10\). Received: shape \(2, 6, 10, 3\)"):
        ReliableRegions()([maps, image[:, :6], TAGS])
    with pytest.raises(
        ValueError, match=r"mask must have the shape \(2, 7, 10\) .* Received: shape \(2, 7\)"
    ):
        ReliableRegions()([maps, image, TAGS, np.ones((2, 7), "float32")])
