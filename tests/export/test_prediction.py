import tracemalloc
import types

import numpy as np
import pytest
from onnx_cases import write_segmenter

from keras_wsseg.export import OnnxSegmenter
from keras_wsseg.export.prediction import run_classes, run_probabilities
from keras_wsseg.export.windows import Windows

BOTH = ("probabilities", "classes")


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file by its outputs and the type of its input."""
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for outputs in (
        ("probabilities", "classes"),
        ("classes",),
        ("probabilities",),
        ("classes", "probabilities"),
    ):
        for dtype in ("float32", "uint8"):
            path = folder / f"{'-'.join(outputs)}-{dtype}.onnx"
            found[outputs, dtype] = write_segmenter(path, outputs, dtype, stride=2)
    return found


@pytest.mark.parametrize("size", [(300, 404), (290, 170), (128, 160)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_windows_give_what_the_whole_image_gives(files, size, dtype):
    path, image = files[BOTH, dtype], random_image(*size, 3)
    whole = OnnxSegmenter(path, window=None)
    windowed = OnnxSegmenter(path, window=128)
    # The network sees 7 pixels around, fewer than the windows leave unused at their borders.
    probabilities = windowed.probabilities(image)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, whole.probabilities(image), atol=1e-5)
    classes = windowed(image)
    assert classes.dtype == np.uint8 and len(np.unique(classes)) > 2
    assert np.mean(classes == whole(image)) > 0.999
    np.testing.assert_array_equal(windowed(np.stack([image, image]))[1], classes)


@pytest.mark.parametrize("stride", [2, 8])
@pytest.mark.parametrize("size", [(301, 403), (143, 289), (200, 129)])
def test_odd_sizes_are_sampled_where_the_whole_image_is(tmp_path, size, stride):
    """A strided `same` convolution begins further outside the less the stride divides the size."""
    path = write_segmenter(tmp_path / "a.onnx", stride=stride, stretch=False)
    image = random_image(*size, 3)
    windowed = OnnxSegmenter(path, window=160, overlap=80).probabilities(image)
    whole = OnnxSegmenter(path, window=None).probabilities(image)
    np.testing.assert_allclose(windowed, whole, atol=1e-5)


@pytest.mark.parametrize("outputs", [("classes",), ("probabilities",), ("classes", "probabilities")])
@pytest.mark.parametrize("window", [None, 128])
def test_any_outputs_in_any_order_serve(files, outputs, window):
    image = random_image(150, 202, 3)
    reference = OnnxSegmenter(files[BOTH, "float32"], window=None)
    segmenter = OnnxSegmenter(files[outputs, "float32"], window=window)
    classes = segmenter(image)
    assert classes.dtype == np.uint8
    assert np.mean(classes == reference(image)) > 0.999
    if "probabilities" in outputs:
        expected = reference.probabilities(image)
        np.testing.assert_allclose(segmenter.probabilities(image), expected, atol=1e-5)
    else:
        with pytest.raises(ValueError, match=r"`probabilities` must be an output .* classes alone"):
            segmenter.probabilities(image)


def test_many_classes_need_more_than_bytes(tmp_path):
    path = write_segmenter(tmp_path / "a.onnx", ("probabilities",), classes=400)
    segmenter, image = OnnxSegmenter(path), random_image(64, 64, 3)
    classes = segmenter(image)
    assert classes.dtype == np.int32 and classes.max() > 255
    np.testing.assert_array_equal(classes, segmenter.probabilities(image).argmax(axis=-1))


def test_a_smaller_image_is_mirrored_to_a_fixed_size(tmp_path):
    free = OnnxSegmenter(write_segmenter(tmp_path / "free.onnx"))
    fixed = OnnxSegmenter(write_segmenter(tmp_path / "fixed.onnx", size=("batch", 40, 48)))
    image = random_image(30, 48, 3)
    mirrored = np.pad(image, [(0, 10), (0, 0), (0, 0)], mode="reflect")
    np.testing.assert_allclose(fixed.probabilities(image), free.probabilities(mirrored)[:30], atol=1e-6)
    np.testing.assert_array_equal(fixed(image), free(mirrored)[:30])


def session(classes, outputs):
    """One that says class 1 everywhere, with what it says counted by `tracemalloc`."""

    def run(output, images):
        assert images.shape[1:3] == (128, 128)
        if output == "classes":
            return np.ones(images.shape[:3], "uint8")
        result = np.zeros((*images.shape[:3], classes), "float32")
        result[..., 1] = 1
        return result

    about = types.SimpleNamespace(class_names=("a",) * classes)
    return types.SimpleNamespace(run=run, outputs=outputs, about=about)


@pytest.mark.parametrize("outputs", [BOTH, ("classes",), ("probabilities",)])
def test_classes_of_a_large_image_need_the_memory_of_a_window(outputs):
    images = np.zeros((1, 2048, 1024, 1), "uint8")
    tracemalloc.start()
    classes = run_classes(session(16, outputs), Windows(128, 32), images)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (classes == 1).all()
    assert most < 16e6, "all probabilities would be 134 MB"


def test_probabilities_of_a_large_image_add_up():
    images = np.zeros((2, 256, 320, 1), "uint8")
    result = run_probabilities(session(3, BOTH), Windows(128, 64), images)
    assert result.shape == (2, 256, 320, 3)
    np.testing.assert_allclose(result[..., 1], 1, atol=1e-6)
