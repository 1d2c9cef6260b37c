"""What Keras offers, as ONNX: each output of one graph against the same in Keras."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_wsseg.export import OnnxSegmenter, to_onnx
from keras_wsseg.export.onnx_conversion import converted

ANY_SIZE = tf.TensorSpec((None, None, None, 8), "float32", "image")


def features(seed=0):
    """Of both signs, zeros among them, at an odd size."""
    found = np.random.default_rng(seed).normal(0, 2, (2, 19, 23, 8)).astype("float32")
    found[:, ::5, ::3] = 0
    return found


def check(parts, opset=15):
    """Converts functions of one image, by name, and compares the output of each."""

    def outputs(image):
        return tuple(part(image) for part in parts.values())

    expected = outputs(tf.constant(features()))
    model = converted(outputs, ANY_SIZE, opset)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: features()})
    for name, here, there in zip(parts, expected, found, strict=True):
        np.testing.assert_allclose(there, here, atol=2e-5, err_msg=name)


def activations():
    """All that `keras.activations` has."""
    found = {}
    for name in dir(keras.activations):
        function = getattr(keras.activations, name)
        if callable(function) and name not in ("deserialize", "get", "serialize"):
            found[name] = function
    found["exact gelu"] = lambda x: keras.activations.gelu(x, approximate=False)
    found["threshold"] = lambda x: keras.activations.threshold(x, 0.5, -1.0)
    return found


@pytest.mark.parametrize("opset", [15, 18])
def test_every_activation(opset):
    parts = activations()
    assert len(parts) > 30
    check(parts, opset)


class OnTokens(keras.layers.Layer):
    """Attention over all pixels, and its result in the place of each."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def call(self, x):
        height, width = tf.shape(x)[1], tf.shape(x)[2]
        tokens = tf.reshape(x, (-1, height * width, 8))
        pair = (tokens, tokens)
        found = (
            self.attention(list(pair))
            if isinstance(self.attention, layers.Attention)
            else self.attention(*pair)
        )
        return tf.reshape(found, (-1, height, width, 8))


LAYERS = {
    "grouped": lambda: layers.Conv2D(8, 3, padding="same", groups=4),
    "grouped, strided": lambda: layers.Conv2D(8, 3, strides=2, padding="same", groups=2),
    "depthwise": lambda: layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
    "depthwise, dilated": lambda: layers.DepthwiseConv2D(3, padding="same", dilation_rate=2),
    "separable": lambda: layers.SeparableConv2D(6, 3, strides=2, padding="same"),
    "separable, dilated": lambda: layers.SeparableConv2D(6, 3, padding="same", dilation_rate=3),
    "transposed": lambda: layers.Conv2DTranspose(6, 4, strides=2, padding="same"),
    "transposed, valid": lambda: layers.Conv2DTranspose(6, 3, strides=2),
    "transposed, dilated": lambda: layers.Conv2DTranspose(6, 3, padding="same", dilation_rate=2),
    "strides that divide nothing": lambda: layers.Conv2D(6, (3, 5), strides=(3, 2), padding="same"),
    "dilated": lambda: layers.Conv2D(6, 3, padding="same", dilation_rate=2),
    "LayerNormalization": layers.LayerNormalization,
    "GroupNormalization": lambda: layers.GroupNormalization(4),
    "UnitNormalization": layers.UnitNormalization,
    "RMSNormalization": layers.RMSNormalization,
    "BatchNormalization": layers.BatchNormalization,
    "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Conv2D(6, 3)),
    "MultiHeadAttention": lambda: OnTokens(layers.MultiHeadAttention(2, 4)),
    "GroupQueryAttention": lambda: OnTokens(layers.GroupQueryAttention(4, 4, 2)),
    "Attention": lambda: OnTokens(layers.Attention()),
    "AdditiveAttention": lambda: OnTokens(layers.AdditiveAttention()),
    "EinsumDense": lambda: layers.EinsumDense("bhwc,cd->bhwd", output_shape=(None, None, 6)),
    "Dense": lambda: layers.Dense(6),
    "global average": lambda: layers.GlobalAveragePooling2D(keepdims=True),
    "global maximum": lambda: layers.GlobalMaxPooling2D(keepdims=True),
    "average": lambda: layers.AveragePooling2D(3, strides=2, padding="same"),
    "maximum": lambda: layers.MaxPooling2D(3, strides=1, padding="same"),
    "nearest": lambda: layers.UpSampling2D(2),
    "Resizing": lambda: layers.Resizing(24, 40),
    "Resizing, nearest": lambda: layers.Resizing(24, 40, interpolation="nearest"),
    "Resizing, cropped": lambda: layers.Resizing(24, 40, crop_to_aspect_ratio=True),
    "CenterCrop": lambda: layers.CenterCrop(12, 12),
    "ZeroPadding2D": lambda: layers.ZeroPadding2D(((1, 2), (3, 0))),
    "Cropping2D": lambda: layers.Cropping2D(((1, 2), (3, 0))),
    "Lambda": lambda: layers.Lambda(lambda x: x - tf.reduce_mean(x, axis=(1, 2), keepdims=True)),
    "Dropout": lambda: layers.Dropout(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(0.5),
    "PReLU": lambda: layers.PReLU(shared_axes=(1, 2)),
    "Permute": lambda: layers.Permute((2, 1, 3)),
}


def test_layers_of_every_kind():
    keras.utils.set_random_seed(0)
    check({name: make() for name, make in LAYERS.items()})


OPERATIONS = {
    "einsum": lambda x: ops.einsum("bhwc,bhwd->bcd", x, x) / 400,
    "pixel shuffle": lambda x: tf.nn.depth_to_space(x, 2),
    "tf.image.resize": lambda x: tf.image.resize(x, 2 * tf.shape(x)[1:3]),
    "ops.image.resize": lambda x: ops.image.resize(x, (24, 40)),
    "log1p": lambda x: ops.log1p(ops.abs(x)),
    "expm1": lambda x: ops.expm1(ops.minimum(x, 1.0)),
    "erf": ops.erf,
    "reflected": lambda x: ops.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect"),
    "compiled by XLA": tf.function(lambda x: 3 * x, jit_compile=True),
    "compiled inside of compiled": tf.function(lambda x: tf.function(lambda y: y + 1, jit_compile=True)(x)),
}


def test_operations_of_every_kind():
    check(OPERATIONS)


class Captures(layers.Layer):
    """Keeps tensors, small and large, and one of integers, beside its weights."""

    def __init__(self):
        super().__init__()
        self.factors = tf.constant(np.linspace(0.5, 2, 8), "float32")
        self.order = tf.constant([3, 1, 0, 2, 7, 5, 6, 4])
        self.mixing = tf.constant(np.random.default_rng(0).normal(0, 1, (8, 400)), "float32")

    def build(self, shape):
        self.offset = self.add_weight(shape=(8,), initializer="ones")

    def call(self, x):
        mixed = tf.gather(x * self.factors + self.offset, self.order, axis=-1)
        return tf.matmul(mixed, self.mixing) / 20


def test_tensors_that_a_layer_keeps_are_frozen():
    check({"captures": Captures(), "again": Captures()})


@pytest.mark.parametrize("adapted", [False, True])
def test_normalization_is_in_the_file(tmp_path, adapted):
    keras.utils.set_random_seed(0)
    array = np.random.default_rng(0).uniform(0, 255, (2, 23, 31, 3)).astype("float32")
    first = layers.Normalization(mean=(120.0, 110, 90), variance=(900.0, 1600, 2500))
    if adapted:
        first = layers.Normalization()
        first.adapt(array)
    image = keras.Input((None, None, 3))
    segmenter = keras.Model(image, layers.Conv2D(3, 3, padding="same")(first(image)))
    report = to_onnx(segmenter, tmp_path / "a.onnx")
    assert report.max_difference < 1e-5
    assert [value.name for value in onnx.load(tmp_path / "a.onnx").graph.input] == ["image"]
    expected = ops.convert_to_numpy(ops.softmax(segmenter(array)))
    np.testing.assert_allclose(OnnxSegmenter(tmp_path / "a.onnx").probabilities(array), expected, atol=1e-5)


@pytest.mark.parametrize(
    "layer,words",
    [
        (
            layers.Resizing(8, 8, antialias=True, name="smaller"),
            r"use .* without `antialias`\. Received: .* ScaleAndTranslate in layer smaller \(Resizing\)$",
        ),
        (
            layers.Lambda(lambda x: tf.math.erfinv(x / 300), name="odd_one"),
            r"ONNX supports\. Received: operation Erfinv in layer odd_one \(Lambda\)$",
        ),
        (
            layers.AdaptiveAveragePooling2D(2, name="adaptive"),
            r"Received: ValueError: AdaptiveAveragePooling2D\.call\(\): Input spatial dimensions must be",
        ),
    ],
)
def test_what_has_no_counterpart_is_said_with_its_layer(tmp_path, layer, words):
    image = keras.Input((None, None, 3))
    inner = keras.Sequential([keras.Input((None, None, 3)), layer])
    segmenter = keras.Model(image, layers.Conv2D(2, 1)(inner(image)))
    with pytest.raises(ValueError, match=words) as caught:
        to_onnx(segmenter, tmp_path / "a.onnx")
    assert "\n" not in str(caught.value)
