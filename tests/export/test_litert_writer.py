import json
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from brought_models import ENDINGS, assert_said, brought, keras_says

from keras_wsseg import layers, models
from keras_wsseg.export import litert_writer, to_litert
from keras_wsseg.kernels import GaussianKernel

CRF_KERNELS = [GaussianKernel(weight=1, sigma_xy=2, sigma_rgb=0.2)]
SEGMENTERS = {
    "UNet": lambda: models.UNet(4, filters=(4, 8, 8)),
    "DeepLabV3Plus": lambda: models.DeepLabV3Plus(4, backbone="resnet18", filters=16),
    "EncoderUNet": lambda: models.EncoderUNet(4, backbone="resnet18", filters=(8, 8, 8, 8, 8)),
    "UMobileNetV2": lambda: models.UMobileNetV2(4),
    "VGG16Skip": lambda: models.VGG16Skip(4, filters=(8, 8, 8, 8)),
    "ReliableRegionMining": lambda: (
        models.ReliableRegionMining(
            4, backbone=models.feature_extractor(models.UNet(1, filters=(4, 8, 8))), dilation=2, crf=None
        ).segmenter
    ),
    "with_input_size": lambda: models.with_input_size(models.UNet(4, filters=(4, 8)), 48),
}
NO_SEGMENTERS = {"WeaklySupervisedModel", "copy_weights", "feature_extractor"}


def run(path, image):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    outputs = Interpreter(str(path)).get_signature_runner("serving_default")(image=image)
    return outputs["probabilities"], outputs["classes"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def upsampled(segmenter, image):
    """From the definition, with the interpolation of `tf.image.resize`, and none of the library's code."""
    return tf.image.resize(segmenter(image, training=False), image.shape[1:3], method="bilinear")


def test_the_matrix_is_whole():
    assert set(SEGMENTERS) == set(models.__all__) - NO_SEGMENTERS


# A CRF is converted apart from what comes before it, so that one shows it for all.
@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("name, refined", [*((name, False) for name in SEGMENTERS), ("UNet", True)])
def test_every_segmenter_converts_at_one_size(name, refined, tmp_path):
    keras.utils.set_random_seed(0)
    segmenter = SEGMENTERS[name]()
    crf = layers.MeanFieldCRF(radius=1, iterations=1, kernels=CRF_KERNELS) if refined else None
    report = to_litert(segmenter, tmp_path / "a.tflite", size=(37, 61), crf=crf)
    assert report.max_difference <= 1e-4 and report.equal_classes >= 0.999
    image = noise(3, 37, 61, 3)
    logits = upsampled(segmenter, image)
    expected = keras.ops.softmax(crf([logits, image]) if refined else logits).numpy()
    found, classes = run(tmp_path / "a.tflite", image)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (classes == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.parametrize("stride", [1, 4])
def test_file_says_what_keras_says_at_sizes_not_seen_in_export(tiny_segmenter, tmp_path, stride):
    segmenter = tiny_segmenter(stride=stride)
    to_litert(segmenter, tmp_path / "a.tflite", check_sizes=[(16, 20)])
    for height, width in [(33, 57), (5, 3), (1, 130)]:
        image = noise(2, height, width, 3)
        probabilities, classes = run(tmp_path / "a.tflite", image)
        expected = tf.nn.softmax(upsampled(segmenter, image)).numpy()
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        assert expected.argmax(-1).std() > 0, "an image of one class proves nothing about the class map"
        assert (classes == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.parametrize("name", ENDINGS)
def test_a_last_activation_is_not_taken_twice(name, tmp_path):
    segmenter, image = brought(name, upsampling="bilinear"), noise(2, 20, 18, 3)
    to_litert(segmenter, tmp_path / "a.tflite")
    assert_said(*run(tmp_path / "a.tflite", image), keras_says(segmenter, image))


def test_a_decoder_of_nearest_upsampling_converts_at_one_size(tmp_path):
    keras.utils.set_random_seed(0)
    options = {"padding": "same", "activation": "relu"}
    x = image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, **options)(x)
    for _ in range(2):
        x = keras.layers.Conv2D(8, 3, **options)(keras.layers.UpSampling2D(2)(x))
    segmenter, array = keras.Model(image, keras.layers.Conv2D(4, 1)(x)), noise(2, 20, 16, 3)
    to_litert(segmenter, tmp_path / "a.tflite", size=(20, 16))
    found, _ = run(tmp_path / "a.tflite", array)
    np.testing.assert_allclose(found, keras.ops.softmax(segmenter(array)), atol=1e-4)


def test_signature_has_the_names_that_callers_use(tiny_segmenter, tmp_path):
    to_litert(tiny_segmenter(), tmp_path / "a.tflite", size=(16, 24), input_dtype="uint8")
    interpreter = Interpreter(str(tmp_path / "a.tflite"))
    names = {"inputs": ["image"], "outputs": ["classes", "probabilities"]}
    assert interpreter.get_signature_list() == {"serving_default": names}
    runner = interpreter.get_signature_runner("serving_default")
    (image,) = runner.get_input_details().values()
    assert image["dtype"] == np.uint8 and list(image["shape_signature"]) == [-1, 16, 24, 3]
    outputs = {name: (x["dtype"], len(x["shape"])) for name, x in runner.get_output_details().items()}
    assert outputs == {"probabilities": (np.float32, 4), "classes": (np.uint8, 3)}


def test_uint8_and_every_view_are_inside(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter()
    tta = {"flip": True, "scales": (0.5, 1)}
    to_litert(segmenter, tmp_path / "a.tflite", size=(20, 32), input_dtype="uint8", tta=tta)
    image = noise(2, 20, 32, 3)
    views = []
    for size in [(10, 16), (20, 32)]:
        scaled = tf.image.resize(image, size, method="bilinear")
        for step in (1, -1):
            logits = segmenter(scaled[:, :, ::step], training=False)[:, :, ::step]
            views.append(tf.nn.softmax(tf.image.resize(logits, (20, 32), method="bilinear")))
    found = run(tmp_path / "a.tflite", image.astype("uint8"))[0]
    np.testing.assert_allclose(found, sum(views) / 4, atol=1e-4)


def test_report_and_metadata_describe_the_file(tiny_segmenter, tmp_path, capfd):
    path = tmp_path / "ä.tflite"
    names = ["Straße", "sky", "tree", "car"]
    report = to_litert(tiny_segmenter(), path, size=16, class_names=names, metadata={"method": "gated CRF"})
    heard = capfd.readouterr()
    assert heard.out == "" and heard.err == ""
    assert report.path == path and report.file_size == path.stat().st_size
    assert report.sizes == ((16, 16),) and 0 < report.max_difference < 1e-4
    assert "float32, LiteRT, as in Keras" in str(report)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["segmenter.json"]
        about = json.loads(archive.read("segmenter.json"))
    assert about["class_names"] == names and about["method"] == "gated CRF"
    assert about["value_range"] == [0, 255] and about["channels"] == 3 and len(about["palette"]) == 4


def test_without_a_size_what_litert_lacks_is_one_sentence(tmp_path, capfd):
    words = r"operations that LiteRT has built in; set `size`, since .* one size only\. Received: Conv2D$"
    with pytest.raises(ValueError, match=words) as caught:
        to_litert(SEGMENTERS["UNet"](), tmp_path / "a.tflite")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


class Cholesky(keras.layers.Layer):
    def call(self, x):
        square = keras.ops.matmul(x, keras.ops.swapaxes(x, -1, -2)) + 1e6 * keras.ops.eye(8)
        return keras.ops.linalg.cholesky(square)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 8)


def test_an_operation_that_litert_lacks_is_named(tmp_path):
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"operations that LiteRT has built in\. Received: Cholesky$"):
        to_litert(keras.Model(image, Cholesky()(image)), tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_run_is_one_sentence(tiny_segmenter, tmp_path, monkeypatch):
    def write_garbage(kind, prepared, draft):
        draft.write_bytes(b"garbage")

    monkeypatch.setattr(litert_writer, "write_raw_graph", write_garbage)
    with pytest.raises(ValueError, match="converted to a file that LiteRT does not run") as caught:
        to_litert(tiny_segmenter(), tmp_path / "a.tflite")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_exceeded_limits_leave_the_old_file(tiny_segmenter, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"the old one")
    with pytest.raises(ValueError, match=r"in LiteRT as in Keras to within tolerance=1e-12\. Received"):
        to_litert(tiny_segmenter(), path, tolerance=1e-12)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_package_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-wsseg\[litert\]'"):
        to_litert("no segmenter, and nobody looks", tmp_path / "a.tflite")


def test_bad_arguments_are_refused(tiny_segmenter, tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must lie in an existing folder"):
        to_litert(tiny_segmenter(), tmp_path / "nowhere" / "a.tflite")
    with pytest.raises(ValueError, match="`path` must be a file"):
        to_litert(tiny_segmenter(), tmp_path)
    with pytest.raises(ValueError, match=r"`size` must be None, or pixels .* Received: size=0"):
        to_litert(tiny_segmenter(), tmp_path / "a.tflite", size=0)
    with pytest.raises(ValueError, match="`min_equal_classes` must be a number from 0 to 1"):
        to_litert(tiny_segmenter(), tmp_path / "a.tflite", min_equal_classes=2)
    assert list(tmp_path.iterdir()) == []
