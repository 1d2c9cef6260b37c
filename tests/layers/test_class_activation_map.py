import keras
import mining_oracles
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg.layers import ClassActivationMap
from keras_wsseg.ops import class_activation_maps

KERNEL = np.random.default_rng(5).normal(size=(3, 2)).astype("float32")
TAGS = np.array([[1, 1, 1], [1, 0, 1]], "float32")


def linear(kernel=KERNEL, size=(None, None), dtype=None):
    """One 1x1 convolution: what it says of an image is known exactly."""
    inputs = keras.Input((*size, len(kernel)))
    conv = keras.layers.Conv2D(kernel.shape[1], 1, use_bias=False, name="scores", dtype=dtype)
    model = keras.Model(inputs, conv(inputs))
    conv.set_weights([kernel[None, None]])
    return model


def images(size=(6, 9), batch=2, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (batch, *size, 3)).astype("float32")


def expected(image, scales, background_exponent=4.0, inside=None):
    maps = []
    for i, one in enumerate(image):
        scores = [mining_oracles.linear_scores(one, KERNEL, scale) for scale in scales]
        mask = None if inside is None else inside[i] > 0
        maps.append(
            mining_oracles.class_activation(scores, TAGS[i], one.shape[:2], background_exponent, mask)
        )
    return np.stack(maps)


@pytest.mark.parametrize("scales", ((0.5, 1.0, 1.5, 2.0), (1.0,), (0.1, 1 / 3)))
@pytest.mark.parametrize("size", ((6, 9), (5, 1)))
def test_matches_the_loops(size, scales):
    image = images(size)
    inside = (np.random.default_rng(1).random((2, *size)) > 0.3).astype("float32")
    layer = ClassActivationMap(linear(), scales, background_exponent=2)
    np.testing.assert_allclose(layer([image, TAGS]), expected(image, scales, 2), atol=1e-5)
    want = expected(image, scales, 2, inside)
    np.testing.assert_allclose(layer([image, TAGS, inside]), want, atol=1e-5)


def test_published_scales_and_8_bit_images():
    image = images().astype("uint8")
    out = ClassActivationMap(linear())([image, TAGS.astype("int32")])
    np.testing.assert_allclose(out, expected(image, (0.5, 1, 1.5, 2)), atol=1e-5)


@pytest.mark.parametrize("xla", (False, True))
def test_sizes_that_are_known_at_run_time_only(xla):
    layer = ClassActivationMap(linear(), scales=(0.5, 1.0, 1.3))

    def run(image):
        return layer([image, TAGS])

    signature = [tf.TensorSpec([2, None, None, 3])]
    dynamic = tf.function(run, jit_compile=xla, input_signature=signature)
    for size in ((5, 8), (1, 1)):
        image = tf.constant(images(size))
        np.testing.assert_allclose(dynamic(image), run(image), atol=1e-5)


def test_the_mean_of_the_scores_is_the_logit_and_its_maps_follow_the_layer_that_is_trained():
    """The layers of a classifier, once behind global average pooling and once as scores of each place."""
    inputs = keras.Input((None, None, 3), name="image")
    tags = keras.Input((3,), name="tags")
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    scores = keras.layers.Conv2D(2, 1, use_bias=False)(features)
    classifier = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(scores))
    layer = ClassActivationMap(keras.Model(inputs, scores), scales=(1.0, 0.5))
    both = keras.Model([inputs, tags], [classifier(inputs), layer([inputs, tags])])
    image = images((8, 8)) / 255
    before = np.array(both([image, TAGS])[1])
    want = class_activation_maps([layer.scores(image)], TAGS, (8, 8))
    np.testing.assert_allclose(ClassActivationMap(layer.scores, (1,))([image, TAGS]), want, atol=1e-6)

    count = len(both.trainable_variables)
    assert count == 3
    classifier.compile(keras.optimizers.SGD(0.5), keras.losses.BinaryCrossentropy(from_logits=True))
    classifier.fit(image, TAGS[:, 1:], epochs=3, verbose=0)
    after = np.array(both([image, TAGS])[1])
    assert np.abs(after - before).max() > 0.01


def test_model_that_shares_the_layers_is_saved_with_them_shared(tmp_path):
    inputs, tags = keras.Input((None, None, 3)), keras.Input((3,))
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="features")(inputs)
    scores = keras.layers.Conv2D(2, 1, use_bias=False, name="scores")(features)
    maps = ClassActivationMap(keras.Model(inputs, scores), scales=(1.0, 0.5), name="cam")([inputs, tags])
    model = keras.Model([inputs, tags], [scores, maps])
    assert model.output_shape == [(None, None, None, 2), (None, None, None, 3)]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    pair = [images(), TAGS]
    for a, b in zip(loaded(pair), model(pair), strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    loaded.get_layer("scores").set_weights([-loaded.get_layer("scores").get_weights()[0]])
    assert np.abs(np.array(loaded(pair)[1]) - np.array(model(pair)[1])).max() > 0.01


def test_config():
    layer = ClassActivationMap(linear(), scales=[0.5, 1], background_exponent=3, name="cam")
    again = ClassActivationMap.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.scores.set_weights(layer.scores.get_weights())
    np.testing.assert_array_equal(again([images(), TAGS]), layer([images(), TAGS]))


def test_infers_while_the_model_around_it_trains():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.BatchNormalization()(inputs)
    x = keras.layers.Dropout(0.5)(x)
    scores = keras.Model(inputs, keras.layers.Conv2D(2, 1, use_bias=False)(x))
    tags = keras.Input((3,))
    around = keras.Model([inputs, tags], ClassActivationMap(scores, scales=(1,))([inputs, tags]))
    before = scores.get_weights()
    inferred = np.array(around([images(), TAGS], training=False))
    np.testing.assert_array_equal(around([images(), TAGS], training=True), inferred)
    for a, b in zip(scores.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_gradient():
    layer = ClassActivationMap(linear(), scales=(1, 0.5))
    image = tf.constant(images())
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = tf.reduce_sum(layer([image, TAGS])[..., 1])
    watched = [image, *(variable.value for variable in layer.trainable_variables)]
    assert len(watched) == 2
    assert tape.gradient(total, watched) == [None, None]


def test_float32_under_mixed_precision():
    image = images((8, 8))
    symbolic = keras.Input((8, 8, 3)), keras.Input((3,))
    layer = ClassActivationMap(linear(dtype="mixed_float16"), dtype="mixed_float16")
    assert layer(list(symbolic)).dtype == "float32"
    out = layer([image, TAGS])
    assert out.dtype == "float32"
    np.testing.assert_allclose(out, expected(image, layer.scales), atol=0.02)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"scores": "net"}, TypeError, "scores must be a keras.Model .* Received: scores='net'"),
        ({"scales": ()}, ValueError, r"`scales` must contain at least one number. Received: scales=\(\)"),
        ({"scales": (1, 0)}, ValueError, r"`scales` must be a number of at least 0.001. Received: scales=0"),
        (
            {"scales": "all"},
            ValueError,
            r"a number of at least 0.001. Received: scales='all'",
        ),
        (
            {"background_exponent": -1},
            ValueError,
            "`background_exponent` must be a number above 0. Received: background_exponent=-1",
        ),
        ({"scores": linear(size=(8, 8))}, ValueError, r"any size, .* for the shape \(None, 8, 8, 3\)"),
    ],
)
def test_bad_arguments(settings, error, text):
    with pytest.raises(error, match=text):
        ClassActivationMap(**{"scores": linear(), **settings})


def test_a_model_of_one_size_serves_at_one_scale():
    layer = ClassActivationMap(linear(size=(6, 9)), scales=1.0)
    np.testing.assert_allclose(layer([images(), TAGS]), expected(images(), (1,)), atol=1e-5)


def test_inputs_that_do_not_fit():
    layer = ClassActivationMap(linear())
    with pytest.raises(ValueError, match=r"\[image, tags\] or \[image, tags, inside\]. Received: shape="):
        layer(images())
    with pytest.raises(ValueError, match=r"each class of the tags except the background"):
        ClassActivationMap(linear())([images(), np.ones((2, 5), "float32")])
