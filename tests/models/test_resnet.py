"""The ResNet encoders against torchvision's definition, written out in NumPy."""

import numpy as np
import pytest

from keras_wsseg.models.resnet import BLOCKS, resnet_encoder
from keras_wsseg.models.resnet_weights import torchvision_name


def torchvision_shapes(name):
    """Names and shapes of torchvision's state dict, without the classifier."""
    shapes = {}

    def add(conv, norm, out, channels, size):
        shapes[f"{conv}.weight"] = (out, channels, size, size)
        for array in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{array}"] = (out,)

    add("conv1", "bn1", 64, 3, 7)
    channels = 64
    for stage, blocks in enumerate({"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}[name], start=1):
        out = 32 * 2**stage
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            add(f"{prefix}.conv1", f"{prefix}.bn1", out, channels, 3)
            add(f"{prefix}.conv2", f"{prefix}.bn2", out, out, 3)
            if channels != out:
                add(f"{prefix}.downsample.0", f"{prefix}.downsample.1", out, channels, 1)
            channels = out
    return shapes


def torchvision_state(name):
    """Random arrays that keep the features at about their size through all layers."""
    generator = np.random.default_rng(0)
    state = {}
    for key, shape in torchvision_shapes(name).items():
        if len(shape) == 4:
            state[key] = generator.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype("float32")
        else:
            state[key] = generator.uniform(0.5, 1.0, shape).astype("float32")
    return state


class Oracle:
    """torchvision's ResNet of basic blocks on (height, width, channels), offset by offset in float64."""

    def __init__(self, state):
        self.state = {key: array.astype("float64") for key, array in state.items()}

    def conv(self, x, name, stride, padding):
        kernel = self.state[f"{name}.weight"]
        size = kernel.shape[2]
        padded = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
        height, width = ((n + 2 * padding - size) // stride + 1 for n in x.shape[:2])
        result = np.zeros((height, width, kernel.shape[0]))
        for i in range(size):
            for j in range(size):
                seen = padded[i : i + stride * height : stride, j : j + stride * width : stride]
                result += seen[:height, :width] @ kernel[:, :, i, j].T
        return result

    def norm(self, x, name):
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        normal = (x - mean) / np.sqrt(variance + 1e-5)
        return normal * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def max_pool(self, x):
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        height, width = ((n - 1) // 2 + 1 for n in x.shape[:2])
        windows = [
            padded[i : i + 2 * height : 2, j : j + 2 * width : 2][:height, :width]
            for i in range(3)
            for j in range(3)
        ]
        return np.max(windows, axis=0)

    def block(self, x, prefix, stride):
        y = np.maximum(self.norm(self.conv(x, f"{prefix}.conv1", stride, 1), f"{prefix}.bn1"), 0)
        y = self.norm(self.conv(y, f"{prefix}.conv2", 1, 1), f"{prefix}.bn2")
        if f"{prefix}.downsample.0.weight" in self.state:
            x = self.norm(self.conv(x, f"{prefix}.downsample.0", stride, 0), f"{prefix}.downsample.1")
        return np.maximum(x + y, 0)

    def features(self, random_image, blocks):
        x = np.maximum(self.norm(self.conv(random_image, "conv1", 2, 3), "bn1"), 0)
        x = self.max_pool(x)
        stages = []
        for stage, count in enumerate(blocks, start=1):
            for block in range(count):
                x = self.block(x, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
            stages.append(x)
        return stages[0], stages[-1]


@pytest.fixture(scope="module")
def state():
    return torchvision_state("resnet18")


@pytest.fixture(scope="module")
def weights_file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.npz"
    np.savez(path, **state, **{"fc.bias": np.zeros(1000), "bn1.num_batches_tracked": np.array(7)})
    return path


@pytest.fixture(scope="module")
def encoder(weights_file):
    return resnet_encoder("resnet18", strides=(4, 32), weights=weights_file)


def random_image(height, width):
    return np.random.default_rng(2).normal(size=(1, height, width, 3)).astype("float32")


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("height,width", [(33, 41), (32, 36), (1, 5)])
def test_features_are_torchvisions(encoder, state, height, width):
    image = random_image(height, width)
    low, high = encoder(image)
    oracle_low, oracle_high = Oracle(state).features(image[0], (2, 2, 2, 2))
    assert_close(low[0], oracle_low)
    assert_close(high[0], oracle_high)


@pytest.mark.parametrize("encoder_stride", [8, 16])
def test_dilation_keeps_the_features_that_a_stride_would_have_kept(encoder, weights_file, encoder_stride):
    dilated = resnet_encoder("resnet18", strides=(4, encoder_stride), weights=weights_file)
    image = random_image(65, 72)
    step = 32 // encoder_stride
    high = dilated(image)[1]
    assert high.shape[1:3] == (-(-65 // encoder_stride), -(-72 // encoder_stride))
    assert_close(high[:, ::step, ::step], encoder(image)[1].numpy())


@pytest.mark.parametrize("name", BLOCKS)
def test_variables_are_those_of_torchvision(name):
    ours = {}
    for variable in resnet_encoder(name).weights:
        shape = tuple(variable.shape)
        out_in_first = shape[3:] + shape[2:3] + shape[:2] if len(shape) == 4 else shape
        ours[torchvision_name(variable.path)] = out_in_first
    assert ours == torchvision_shapes(name)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"name": "resnet50"}, "`backbone` must be one of resnet18, resnet34. Received: backbone=resnet50"),
        ({"strides": (4, 6)}, "`strides` must be one of 2, 4, 8, 16, 32. Received: strides=6"),
        ({"strides": (2, 4)}, r"`strides` must end at 8, 16 or 32. Received: strides=\(2, 4\)"),
        ({"channels": 0}, "`channels` must be .* Received: channels=0"),
        (
            {"weight_decay": -1.0},
            "`weight_decay` must be a number of at least 0. Received: weight_decay=-1.0",
        ),
    ],
)
def test_bad_arguments_say_so(arguments, message):
    with pytest.raises(ValueError, match=message):
        resnet_encoder(**{"name": "resnet18", **arguments})
