import keras
import numpy as np
import pytest

from keras_wsseg.export import OnnxSegmenter, to_onnx
from keras_wsseg.export.refinement import describe_refine
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF


def crf(**options):
    kernels = [GaussianKernel(weight=2, xy=3, rgb=0.1), GaussianKernel(weight=0.5, xy=1)]
    return MeanFieldCRF(**{"radius": 2, "iterations": 2, "kernels": kernels, **options})


def photograph(height=33, width=47):
    from keras_wsseg.export.check_pictures import made_picture

    return made_picture(np.random.default_rng(1), (1, height, width, 3), (0, 255))


@pytest.mark.parametrize("compatibility", ["potts", "trainable"])
def test_the_file_refines_as_keras_does(tiny_segmenter, tmp_path, compatibility):
    layer = crf(compatibility=compatibility, train_kernel_weights=compatibility == "trainable")
    segmenter = tiny_segmenter(stride=1)
    to_onnx(segmenter, tmp_path / "a.onnx", refine=layer)
    found = OnnxSegmenter(tmp_path / "a.onnx")
    logits = segmenter(photograph())
    want = np.asarray(keras.ops.softmax(layer([logits, photograph()])))
    assert np.abs(want - np.asarray(keras.ops.softmax(logits))).max() > 0.1
    np.testing.assert_allclose(found.probabilities(photograph()), want, atol=1e-4)
    assert found.metadata["refine"] == describe_refine(layer)


def test_the_description_names_window_steps_and_kernels():
    words = "mean field, 5x5 window, 2 steps, kernels: weight=2 xy=3 rgb=0.1; weight=0.5 xy=1"
    assert describe_refine(crf()) == words


def test_a_crf_of_a_mixed_training_is_full_float32_in_the_file(tiny_segmenter, tmp_path):
    layer = crf(dtype="mixed_float16", compatibility="trainable")
    layer([np.zeros((1, 4, 4, 4), "float32"), np.zeros((1, 4, 4, 3), "float32")])
    matrix = np.linspace(0, 1, 16, dtype="float32").reshape(4, 4)
    layer.set_weights([matrix])
    report = to_onnx(tiny_segmenter(stride=1), tmp_path / "a.onnx", refine=layer)
    assert report.max_difference < 1e-4 and layer.compute_dtype == "float16"
    full = crf(compatibility=matrix.tolist())
    want = np.asarray(keras.ops.softmax(full([tiny_segmenter(stride=1)(photograph()), photograph()])))
    np.testing.assert_allclose(
        OnnxSegmenter(tmp_path / "a.onnx").probabilities(photograph()), want, atol=1e-4
    )


@pytest.mark.parametrize(
    "refine,error,words",
    [
        (
            "windowed",
            TypeError,
            r"`refine` must be a layers\.MeanFieldCRF or None\. Received: .* of type str",
        ),
        (lambda: crf(radius=None), ValueError, r"`refine` must look at a window.* Received: radius=None"),
        (lambda: crf(from_logits=False), ValueError, r"`refine` must take logits.* from_logits=False"),
        (
            lambda: crf(value_range=(0, 1)),
            ValueError,
            r"`refine` must see .* value_range=\(0\.0, 255\.0\)\. Received: value_range=\(0, 1\)",
        ),
        (
            lambda: crf(compatibility=[[0, 1], [1, 0]]),
            ValueError,
            r"`refine` must fit a segmenter of 4 classes\. Received: compatibility must be a matrix",
        ),
    ],
)
def test_a_crf_that_cannot_go_into_a_file_is_refused(tiny_segmenter, tmp_path, refine, error, words):
    with pytest.raises(error, match=words):
        to_onnx(tiny_segmenter(), tmp_path / "a.onnx", refine=refine() if callable(refine) else refine)
    assert list(tmp_path.iterdir()) == []
