import keras
import pytest
from keras import layers, ops

from keras_wsseg.layers import MeanFieldCRF
from keras_wsseg.models import UNet, WeaklySupervisedModel, with_input_size
from keras_wsseg.models.model_output import ModelOutput, read_output, yields_probabilities

pytestmark = pytest.mark.any_backend


def head(channels, activation=None, **options):
    return layers.Conv2D(channels, 1, activation=activation, name="head", **options)


def ending(*steps):
    x = image = keras.Input((8, 8, 3))
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


def relu_softmax(x):
    return ops.softmax(ops.relu(x), axis=-1)


@keras.saving.register_keras_serializable("tests")
class Own(layers.Layer):
    def call(self, x):
        return x * 2.0


@keras.saving.register_keras_serializable("tests")
class OwnWith(Own):
    activation = staticmethod(keras.activations.relu)


class Subclassed(keras.Model):
    def __init__(self, activation="softmax"):
        super().__init__()
        self.head = head(3, activation)

    def call(self, x):
        return self.head(x)


class SaysSo(Subclassed):
    yields_probabilities = True


PROBABILITIES = {
    "convolution": [head(3, "softmax")],
    "dense": [layers.Dense(3, activation="softmax")],
    "transposed": [layers.Conv2DTranspose(3, 2, activation="softmax")],
    "layer as activation": [head(3, layers.Softmax())],
    "Softmax": [head(3), layers.Softmax()],
    "Softmax of the last axis by number": [head(3), layers.Softmax(axis=3)],
    "Activation": [head(3), layers.Activation("softmax")],
    "operation": [head(3), relu_softmax],
    "function": [head(3), keras.activations.softmax],
    "one channel": [head(1, "sigmoid")],
    "one channel, Activation": [head(1), layers.Activation("sigmoid")],
    "one channel, operation": [head(1), ops.sigmoid],
    "cast": [head(3, "softmax"), layers.Activation("linear", dtype="float32")],
    "identity": [head(3, "softmax"), layers.Identity()],
    "bilinear": [head(3, "softmax"), layers.UpSampling2D(2, interpolation="bilinear")],
    "nearest": [head(3, "softmax"), layers.UpSampling2D(2)],
    "Resizing": [head(3, "softmax"), layers.Resizing(16, 16)],
    "cropped": [head(3, "softmax"), layers.Cropping2D(1)],
    "reshaped": [layers.Reshape((64, 3)), layers.Dense(3, activation="softmax"), layers.Reshape((8, 8, 3))],
    "model inside": [keras.Sequential([keras.Input((8, 8, 3)), head(3, "softmax")])],
    "model in a model": [ending(ending(head(3), layers.Softmax()), layers.Identity())],
    "says so": [SaysSo()],
}
LOGITS = {
    "convolution": [head(3)],
    "one channel": [head(1)],
    "bicubic": [head(3), layers.UpSampling2D(2, interpolation="bicubic")],
    "log_softmax": [head(3, "log_softmax")],
    "softmax before": [head(3, "softmax"), layers.Conv2D(3, 1)],
}
UNKNOWN = {
    "ReLU": [head(3, "relu")],
    "ReLU layer": [head(3), layers.ReLU()],
    "own layer": [head(3, "softmax"), Own()],
    "own layer with a ReLU": [head(3), OwnWith()],
    "dropout": [head(3, "softmax"), layers.Dropout(0.5)],
    "padded": [head(3, "softmax"), layers.Resizing(9, 12, pad_to_aspect_ratio=True)],
    "axes mixed": [head(3, "softmax"), layers.Reshape((8, 12, 2))],
    "subclassed": [Subclassed()],
}


@pytest.mark.parametrize(
    ("steps", "want"),
    [(PROBABILITIES[name], True) for name in PROBABILITIES]
    + [(LOGITS[name], False) for name in LOGITS]
    + [(UNKNOWN[name], None) for name in UNKNOWN],
    ids=[*(f"p {name}" for name in PROBABILITIES), *LOGITS, *(f"? {name}" for name in UNKNOWN)],
)
def test_last_layers_tell(steps, want):
    assert yields_probabilities(ending(*steps)) is want


def test_layer_and_precision_are_named():
    policy = keras.DTypePolicy("mixed_float16")
    cast = layers.Activation("linear", dtype="float32")
    assert read_output(ending(head(3, "softmax", dtype=policy), cast)) == ModelOutput(True, "head", "float16")
    assert read_output(ending(head(3, dtype="float32"))) == ModelOutput(False, "head", "float32")
    assert read_output(keras.Sequential([head(3, "softmax")])) == ModelOutput()
    image = keras.Input((8, 8, 3))
    two = keras.Model(image, [head(3, "softmax")(image), layers.Conv2D(2, 1)(image)])
    assert read_output(two) == ModelOutput()


def test_segmenters_of_the_library_and_what_is_built_around_brought_ones():
    segmenter = UNet(3, filters=(4, 8))
    assert yields_probabilities(segmenter) is False
    refined = MeanFieldCRF(radius=1)([segmenter.output, segmenter.input])
    assert yields_probabilities(keras.Model(segmenter.input, refined)) is False
    brought = keras.Sequential([keras.Input((None, None, 3)), head(3, "softmax")])
    assert yields_probabilities(with_input_size(brought, 8)) is True
    assert yields_probabilities(WeaklySupervisedModel(brought)) is True


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([head(2, "sigmoid")], "classes overlap. Received: sigmoid of 2 channels in its last layer 'head'"),
        ([head(4), ops.sigmoid, layers.Identity()], "Received: sigmoid of 4 channels in its last layer"),
        ([head(1, "softmax")], r"Received: softmax over axis -1 of shape \(None, 8, 8, 1\)"),
        ([head(3), layers.Softmax(axis=1)], r"Received: softmax over axis 1 of shape \(None, 8, 8, 3\)"),
        ([head(3), layers.Softmax(axis=(1, 2))], r"Received: softmax over axis .1, 2. of shape"),
        ([head(1, "hard_sigmoid")], "or a sigmoid of one channel. Received: hard_sigmoid in its last layer"),
        (
            [head(3, "softmax"), layers.UpSampling2D(2, interpolation="bicubic", name="up")],
            "leave the range from 0 to 1, such as bicubic. Received: 'up' after 'head'",
        ),
    ],
)
def test_what_is_neither_is_refused(steps, text):
    with pytest.raises(ValueError, match=text):
        read_output(ending(*steps))
