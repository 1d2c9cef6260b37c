"""Files that an encoder's weights come from."""

import keras
import numpy as np
import pytest

from keras_wsseg.models import UNet
from keras_wsseg.models.resnet import resnet_encoder
from keras_wsseg.models.resnet_weights import load_resnet_weights, torchvision_name


@pytest.fixture(scope="module")
def source():
    encoder = resnet_encoder("resnet18")
    generator = np.random.default_rng(0)
    for variable in encoder.weights:
        variable.assign(generator.uniform(0, 1, variable.shape))
    return encoder


@pytest.fixture(scope="module")
def target():
    return resnet_encoder("resnet18", strides=(4, 32))


@pytest.fixture(autouse=True)
def forget(target):
    for variable in target.weights:
        variable.assign(keras.ops.zeros(variable.shape))


def torchvision_arrays(encoder):
    arrays = {}
    for variable in encoder.weights:
        value = variable.numpy()
        arrays[torchvision_name(variable.path)] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    return arrays


def assert_same(target, source):
    for ours, theirs in zip(target.weights, source.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("name", ["encoder.weights.h5", "encoder.keras"])
def test_files_of_keras(source, target, tmp_path, name):
    path = tmp_path / name
    source.save_weights(path) if name.endswith(".h5") else source.save(path)
    load_resnet_weights(target, path)
    assert_same(target, source)


def test_a_saved_model_that_holds_the_encoder(source, target, tmp_path):
    high = source.outputs[1]
    pooled = keras.layers.GlobalAveragePooling2D()(high)
    keras.Model(source.inputs, keras.layers.Dense(5)(pooled)).save(tmp_path / "classifier.keras")
    load_resnet_weights(target, str(tmp_path / "classifier.keras"))
    assert_same(target, source)


def test_files_of_torchvision(source, target, tmp_path):
    arrays = torchvision_arrays(source)
    ignored = {"fc.weight": np.zeros((1000, 512)), "layer1.0.bn1.num_batches_tracked": np.array(3)}
    np.savez(tmp_path / "encoder.npz", **arrays, **ignored)
    load_resnet_weights(target, tmp_path / "encoder.npz")
    assert_same(target, source)


def test_safetensors(source, target, tmp_path):
    numpy_format = pytest.importorskip("safetensors.numpy")
    arrays = {name: np.ascontiguousarray(array) for name, array in torchvision_arrays(source).items()}
    numpy_format.save_file(arrays, tmp_path / "encoder.safetensors")
    load_resnet_weights(target, tmp_path / "encoder.safetensors")
    assert_same(target, source)


def test_safetensors_without_the_package(target, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ImportError, match=r"requires a package: `pip install safetensors`"):
        load_resnet_weights(target, path)


def test_what_does_not_fit_is_named_and_nothing_is_assigned(source, target, tmp_path):
    arrays = torchvision_arrays(source)
    del arrays["layer4.1.bn2.running_var"]
    arrays["encoder.extra"] = np.zeros(3)
    arrays["conv1.weight"] = np.zeros((64, 4, 7, 7))
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(ValueError) as error:
        load_resnet_weights(target, tmp_path / "wrong.npz")
    message = str(error.value)
    assert message.startswith("`weights` must contain the arrays of resnet18, but missing: ")
    assert "missing: layer4_1_bn2/moving_variance; unknown: encoder.extra; " in message
    assert "misshapen: conv1/kernel of shape (7, 7, 4, 64) instead of (7, 7, 3, 64). Received: " in message
    assert all(not variable.numpy().any() for variable in target.weights)


def test_another_network(target, tmp_path):
    other = UNet(2, filters=(4,))
    other.save(tmp_path / "other.keras")
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match=r"missing: bn1/beta, .* and \d+ more. Received: .*other.keras"):
        load_resnet_weights(target, tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"`weights` must contain the layers of resnet18 .*other.weights.h5"):
        load_resnet_weights(target, tmp_path / "other.weights.h5")


def test_bad_paths_say_so(target, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`weights` must be the path of an existing file. Received: .*none.npz"
    ):
        load_resnet_weights(target, tmp_path / "none.npz")
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"`weights` must end in .*\.safetensors. Received: .*weights.pth"):
        load_resnet_weights(target, tmp_path / "weights.pth")
