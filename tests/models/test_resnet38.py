"""The ResNet-38 encoder against the published definition, written out in NumPy."""

import keras
import numpy as np
import pytest

from keras_wsseg.layers import IMAGENET_MEAN, IMAGENET_STD
from keras_wsseg.models import DeepLabV3Plus
from keras_wsseg.models.encoder import backbone_strides, encode
from keras_wsseg.models.resnet38 import resnet38_encoder

# Name, convolutions as (size, channels for a width of 1, stride, dilation), in the published order.
UNITS = [
    *(("b2", i, [(3, 2, 2 if i == 0 else 1, 1), (3, 2, 1, 1)]) for i in range(3)),
    *(("b3", i, [(3, 4, 2 if i == 0 else 1, 1), (3, 4, 1, 1)]) for i in range(3)),
    *(("b4", i, [(3, 8, 2 if i == 0 else 1, 1), (3, 8, 1, 1)]) for i in range(6)),
    *(("b5", i, [(3, 8, 1, 1 if i == 0 else 2), (3, 16, 1, 2)]) for i in range(3)),
    ("b6", 0, [(1, 8, 1, 1), (3, 16, 1, 4), (1, 32, 1, 1)]),
    ("b7", 0, [(1, 16, 1, 1), (3, 32, 1, 4), (1, 64, 1, 1)]),
]


def without_seeds(encoder):
    """The weights alone: dropout keeps a seed among the variables."""
    return [variable for variable in encoder.weights if "seed" not in variable.path]


class Oracle:
    """The units on (height, width, channels), offset by offset in float64, with the encoder's own weights."""

    def __init__(self, encoder):
        self.state = {
            variable.path: variable.numpy().astype("float64") for variable in without_seeds(encoder)
        }

    def conv(self, x, name, stride, dilation):
        kernel = self.state.pop(f"resnet38_{name}/kernel")
        reach = kernel.shape[0] // 2 * dilation
        padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
        height, width = ((n - 1) // stride + 1 for n in x.shape[:2])
        result = np.zeros((height, width, kernel.shape[-1]))
        for i, row in enumerate(kernel):
            for j, matrix in enumerate(row):
                seen = padded[i * dilation :: stride, j * dilation :: stride][:height, :width]
                result += seen @ matrix
        return result

    def rectified(self, x, name):
        gamma, beta, mean, variance = (
            self.state.pop(f"resnet38_{name}_bn/{kind}")
            for kind in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)

    def features(self, image, width):
        x, taps = self.conv(image, "conv1a", 1, 1), []
        for stage, index, convolutions in UNITS:
            name = f"{stage}_{index}"
            rectified = branch = self.rectified(x, f"{name}_a")
            if stage in ("b2", "b3", "b4") and index == 0:
                taps.append(rectified)
            for letter, (_, channels, stride, dilation) in zip("abc", convolutions, strict=False):
                if letter != "a":
                    branch = self.rectified(branch, f"{name}_{letter}")
                branch = self.conv(branch, f"{name}_conv_{letter}", stride, dilation)
                assert branch.shape[-1] == channels * width
            stride = convolutions[0][2]
            same = stride == 1 and x.shape[-1] == branch.shape[-1]
            x = branch + (x if same else self.conv(rectified, f"{name}_shortcut", stride, 1))
        taps.append(self.rectified(x, "b7"))
        assert not self.state
        return taps


@pytest.fixture(scope="module")
def encoder():
    encoder = resnet38_encoder((1, 2, 4, 8), width=2)
    generator = np.random.default_rng(0)
    for variable in without_seeds(encoder):
        if variable.name == "kernel":
            scale = np.sqrt(1 / np.prod(variable.shape[:-1]))
            variable.assign(generator.normal(0, scale, variable.shape))
        else:
            variable.assign(generator.uniform(0.5, 1.0, variable.shape))
    return encoder


@pytest.mark.parametrize("height,width", [(33, 41), (32, 24), (1, 5)])
def test_features_are_the_published_ones(encoder, height, width):
    image = np.random.default_rng(2).normal(size=(1, height, width, 3)).astype("float32")
    expected = Oracle(encoder).features(image[0], width=2)
    features = encoder(image)
    for stride, ours, theirs in zip((1, 2, 4, 8), features, expected, strict=True):
        assert ours.shape[1:3] == (-(-height // stride), -(-width // stride))
        np.testing.assert_allclose(ours[0], theirs, atol=1e-5 * np.abs(theirs).max())


def test_the_published_size():
    encoder = resnet38_encoder(strides=(1, 2, 4, 8))
    shapes = encoder.compute_output_shape((1, 64, 96, 3))
    assert shapes == [(1, 64, 96, 64), (1, 32, 48, 128), (1, 16, 24, 256), (1, 8, 12, 4096)]
    convolutions = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    # 38 layers are 37 convolutions off the shortcuts and the classifier that is not here; 6 shortcuts more.
    shortcuts = [layer for layer in convolutions if layer.name.endswith("shortcut")]
    assert (len(convolutions) - len(shortcuts), len(shortcuts)) == (37, 6)
    rates = [layer.rate for layer in encoder.layers if isinstance(layer, keras.layers.SpatialDropout2D)]
    assert rates == [0.3, 0.3, 0.5, 0.5]
    assert all(layer.name.startswith("resnet38_") for layer in encoder.layers[1:])


def test_dropout_acts_in_training_alone(encoder):
    image = np.random.default_rng(3).normal(size=(1, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(encoder(image)[-1], encoder(image)[-1])
    dropped = encoder.get_layer("resnet38_b7_0_c_dropout")
    ones = np.ones((4, 3, 3, 64), "float32")
    kept = dropped(ones, training=True).numpy()
    np.testing.assert_array_equal(kept.min((1, 2)), kept.max((1, 2)))
    assert 0.3 < (kept > 0).mean() < 0.7


@pytest.mark.parametrize("name", ["encoder.weights.h5", "encoder.keras"])
def test_weights_of_a_local_file(encoder, name, tmp_path):
    path = tmp_path / name
    encoder.save_weights(path) if name.endswith(".h5") else encoder.save(path)
    loaded = resnet38_encoder((8,), width=2, weights=path)
    for variable, expected in zip(without_seeds(loaded), without_seeds(encoder), strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())
    with pytest.raises(ValueError, match="`weights` must contain the .* of resnet38"):
        resnet38_encoder((8,), width=3, weights=path)


def test_weight_decay_is_coupled_in_every_kernel(check_weight_decay):
    check_weight_decay(resnet38_encoder(width=1, weight_decay=0.25), 0.25)


def test_in_front_of_a_segmenter(make_images, tmp_path):
    assert backbone_strides("resnet38") == (1, 2, 4, 8)
    inputs = keras.Input((None, None, 1), name="image")
    (features,) = encode(inputs, "resnet38", strides=(8,), width=1)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="logits")(features))
    standardized = keras.Model(inputs, model.get_layer("standardize").output)(make_images(channels=1))
    means, stds = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    expected = (make_images(channels=1) / 255 - means) / stds
    np.testing.assert_allclose(standardized, expected, atol=1e-5)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    assert np.isfinite(model.fit(make_images(channels=1), np.zeros((2, 5, 6)), verbose=0).history["loss"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = make_images(17, 20, channels=1)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)


def test_exports_with_what_is_behind_it(check_exports):
    inputs = keras.Input((None, None, 3), name="image")
    (features,) = encode(inputs, "resnet38", strides=(8,), width=1)
    check_exports(keras.Model(inputs, keras.layers.Conv2D(2, 1, name="logits")(features)))


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({"strides": (4, 16)}, ValueError, "`strides` must be one of 1, 2, 4, 8. Received: strides=16"),
        ({"width": 0}, ValueError, "`width` must be .* Received: width=0"),
        ({"channels": 0}, ValueError, "`channels` must be .* Received: channels=0"),
        (
            {"weight_decay": -1.0},
            ValueError,
            "`weight_decay` must be a number of at least 0. .* weight_decay=-1.0",
        ),
        ({"weights": "w.npz"}, ValueError, "must end in .weights.h5 or .keras. Received: weights='w.npz'"),
        ({"weights": "w.keras"}, FileNotFoundError, "path of an existing file. Received: weights='w.keras'"),
    ],
)
def test_bad_arguments_say_so(arguments, error, message):
    with pytest.raises(error, match=message):
        resnet38_encoder(**{"width": 1, **arguments})


def test_what_encode_refuses():
    inputs = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="`weights` of resnet38 must be None or .* weights='imagenet'"):
        encode(inputs, "resnet38", (8,), weights="imagenet")
    with pytest.raises(ValueError, match="`width` must be None unless .* 'resnet38'. Received: width=8"):
        encode(inputs, "resnet18", (8,), width=8)
    with pytest.raises(ValueError, match="`prefix` must be None unless .* Received: prefix='x'"):
        encode(inputs, "resnet38", (8,), prefix="x")
    with pytest.raises(ValueError, match="`strides` must be one of 1, 2, 4, 8. Received: strides=16"):
        DeepLabV3Plus(3, backbone="resnet38")
