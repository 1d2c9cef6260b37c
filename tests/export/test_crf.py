import dataclasses

import keras
import numpy as np
import onnx
import pytest

from keras_wsseg import models
from keras_wsseg.export import OnnxSegmenter, onnx_writer, to_litert, to_onnx, to_saved_model
from keras_wsseg.export.crf import built_crf, describe_crf
from keras_wsseg.export.raw_graph import write_raw_graph
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF


def crf(**options):
    kernels = [GaussianKernel(weight=2, sigma_xy=3, sigma_rgb=0.1), GaussianKernel(weight=0.5, sigma_xy=1)]
    return MeanFieldCRF(**{"radius": 2, "iterations": 2, "kernels": kernels, **options})


def photograph(height=33, width=47):
    from keras_wsseg.export.random_images import random_image

    return random_image(np.random.default_rng(1), (1, height, width, 3), (0, 255))


@pytest.mark.parametrize("compatibility", ["potts", "trainable"])
def test_the_file_refines_as_keras_does(tiny_segmenter, tmp_path, compatibility):
    layer = crf(compatibility=compatibility, train_kernel_weights=compatibility == "trainable")
    segmenter = tiny_segmenter(stride=1)
    to_onnx(segmenter, tmp_path / "a.onnx", crf=layer)
    found = OnnxSegmenter(tmp_path / "a.onnx")
    logits = segmenter(photograph())
    want = np.asarray(keras.ops.softmax(layer([logits, photograph()])))
    assert np.abs(want - np.asarray(keras.ops.softmax(logits))).max() > 0.1
    np.testing.assert_allclose(found.probabilities(photograph()), want, atol=1e-4)
    assert found.metadata["crf"] == describe_crf(layer)


def test_the_description_names_window_steps_and_kernels():
    words = (
        "mean field, 5x5 window, 2 steps, kernels: weight=2 sigma_xy=3 sigma_rgb=0.1; weight=0.5 sigma_xy=1"
    )
    assert describe_crf(crf()) == words


def test_a_crf_of_a_mixed_training_is_full_float32_in_the_file(tiny_segmenter, tmp_path):
    layer = crf(dtype="mixed_float16", compatibility="trainable")
    layer([np.zeros((1, 4, 4, 4), "float32"), np.zeros((1, 4, 4, 3), "float32")])
    matrix = np.linspace(0, 1, 16, dtype="float32").reshape(4, 4)
    layer.set_weights([matrix])
    report = to_onnx(tiny_segmenter(stride=1), tmp_path / "a.onnx", crf=layer)
    assert report.stage_difference < 1e-4 and layer.compute_dtype == "float16"
    full = crf(compatibility=matrix.tolist())
    want = np.asarray(keras.ops.softmax(full([tiny_segmenter(stride=1)(photograph()), photograph()])))
    np.testing.assert_allclose(
        OnnxSegmenter(tmp_path / "a.onnx").probabilities(photograph()), want, atol=1e-4
    )


@pytest.mark.parametrize(
    "layer,error,words",
    [
        (
            "windowed",
            TypeError,
            r"`crf` must be a layers\.MeanFieldCRF or None\. Received: .* of type str",
        ),
        (lambda: crf(radius=None), ValueError, r"`crf` must have a local window.* Received: radius=None"),
        (lambda: crf(from_logits=False), ValueError, r"`crf` must take logits.* from_logits=False"),
        (
            lambda: crf(value_range=(0, 1)),
            ValueError,
            r"`crf` must have .* value_range=\(0\.0, 255\.0\)\. Received: value_range=\(0, 1\)",
        ),
        (
            lambda: crf(compatibility=[[0, 1], [1, 0]]),
            ValueError,
            r"`crf` must fit a segmenter of 4 classes\. Received: compatibility must be a matrix",
        ),
    ],
)
def test_a_crf_that_cannot_go_into_a_file_is_refused(tiny_segmenter, tmp_path, layer, error, words):
    with pytest.raises(error, match=words):
        to_onnx(tiny_segmenter(), tmp_path / "a.onnx", crf=layer() if callable(layer) else layer)
    assert list(tmp_path.iterdir()) == []


def untrained_unet(seed):
    keras.utils.set_random_seed(seed)
    return models.UNet(3)


def with_crf_as_last_layer(segmenter, crf):
    image = keras.Input((None, None, 3))
    return keras.Model(image, crf([segmenter(image), image]))


@pytest.mark.parametrize("inside", [False, True])
def test_a_crf_that_makes_much_of_last_digits_exports_on_every_processor(tmp_path, inside):
    """Without the stages the difference of the whole decided: 4e-4 here, 1e-4 or less elsewhere."""
    segmenter, layer = untrained_unet(3), MeanFieldCRF(radius=3)
    if inside:
        report = to_onnx(with_crf_as_last_layer(segmenter, layer), tmp_path / "a.onnx")
    else:
        report = to_onnx(segmenter, tmp_path / "a.onnx", crf=layer)
    assert report.stage_difference < 2e-5 < report.max_difference
    assert "by stages" in str(report)
    names = [value.name for value in onnx.load(tmp_path / "a.onnx").graph.output]
    assert names == ["probabilities", "classes"]


def swapped(segmenter):
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Lambda(lambda x: x[..., ::-1])(segmenter(image)))


KERNELS_OFF = [
    [GaussianKernel(weight=2.02, sigma_xy=3, sigma_rgb=0.1), GaussianKernel(weight=0.5, sigma_xy=1)],
    [GaussianKernel(weight=2, sigma_xy=3, sigma_rgb=0.101), GaussianKernel(weight=0.5, sigma_xy=1)],
]


@pytest.mark.parametrize(
    "segmenter,layer,inside",
    [
        (lambda net: net, {"kernels": KERNELS_OFF[0]}, False),
        (lambda net: net, {"kernels": KERNELS_OFF[1]}, True),
        (lambda net: net, {"iterations": 3}, False),
        (lambda net: net, {"iterations": 1}, True),
        (swapped, {}, False),
        (swapped, {}, True),
    ],
)
def test_a_file_with_a_fault_planted_is_refused(
    tiny_segmenter, tmp_path, monkeypatch, segmenter, layer, inside
):
    def write(kind, prepared, *rest, **options):
        net, own = segmenter(tiny_segmenter(stride=1)), crf(**layer)
        deployment = dataclasses.replace(
            prepared.deployment,
            segmenter=with_crf_as_last_layer(net, own) if inside else net,
            crf=None if inside else built_crf(own, 4, 3),
        )
        write_raw_graph(kind, dataclasses.replace(prepared, deployment=deployment), *rest, **options)

    monkeypatch.setattr(onnx_writer, "write_raw_graph", write)
    net = tiny_segmenter(stride=1)
    wanted = with_crf_as_last_layer(net, crf()) if inside else net
    with pytest.raises(ValueError, match=r"within tolerance=0\.0001\. Received: .* CRF separately"):
        to_onnx(wanted, tmp_path / "a.onnx", crf=None if inside else crf(), check_sizes=[(33, 47)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write,path", [(to_saved_model, "saved"), (to_litert, "a.tflite")])
def test_other_formats_are_judged_by_stages_too(tiny_segmenter, tmp_path, write, path):
    layer = MeanFieldCRF(radius=3, kernels=[GaussianKernel(weight=60, sigma_xy=3, sigma_rgb=0.1)])
    report = write(tiny_segmenter(stride=1), tmp_path / path, crf=layer, size=(33, 47))
    assert 0 < report.stage_difference < 2e-5
    assert [entry.name for entry in tmp_path.iterdir()] == [path]


def test_layers_behind_a_crf_may_be_halved(tiny_segmenter, tmp_path):
    image = keras.Input((None, None, 3))
    x = crf()([tiny_segmenter(stride=1)(image), image])
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(4, 1)(x))
    report = to_onnx(segmenter, tmp_path / "a.onnx", precision="float16")
    assert 0 < report.stage_difference < 0.05
    names = [value.name for value in onnx.load(tmp_path / "a.onnx").graph.output]
    assert names == ["probabilities", "classes"]
