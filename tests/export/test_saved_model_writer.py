import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from brought_models import ENDINGS, assert_said, brought, keras_says

import keras_wsseg
from keras_wsseg.export import ExportReport, to_saved_model
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF


def run(path, image):
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    outputs = {name: value.numpy() for name, value in serve(image=tf.constant(image)).items()}
    return outputs["probabilities"], outputs["classes"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def upsampled(segmenter, image):
    """From the definition, with the interpolation of `tf.image.resize`, and none of the library's code."""
    return tf.image.resize(segmenter(image, training=False), image.shape[1:3], method="bilinear")


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stride", [1, 4])
def test_folder_says_what_keras_says_at_sizes_not_seen_in_export(tiny_segmenter, tmp_path, stride):
    segmenter = tiny_segmenter(stride=stride)
    to_saved_model(segmenter, tmp_path / "saved", check_sizes=[(16, 20)])
    for height, width in [(33, 57), (5, 3), (1, 130)]:
        image = noise(2, height, width, 3)
        probabilities, classes = run(tmp_path / "saved", image)
        expected = tf.nn.softmax(upsampled(segmenter, image)).numpy()
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        assert expected.argmax(-1).std() > 0, "an image of one class proves nothing about the class map"
        assert (classes == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.parametrize("name", ENDINGS)
def test_a_last_activation_is_not_taken_twice(name, tmp_path):
    segmenter, image = brought(name, upsampling="bilinear"), noise(2, 20, 18, 3)
    to_saved_model(segmenter, tmp_path / "saved")
    assert_said(*run(tmp_path / "saved", image), keras_says(segmenter, image))


def test_signatures_have_the_names_that_callers_use(tiny_segmenter, tmp_path):
    to_saved_model(tiny_segmenter(), tmp_path / "saved")
    signatures = tf.saved_model.load(str(tmp_path / "saved")).signatures
    assert set(signatures) == {"serving_default", "serve"}
    for signature in signatures.values():
        positional, named = signature.structured_input_signature
        assert positional == () and set(named) == {"image"}
        assert named["image"].dtype == tf.float32 and named["image"].shape.as_list() == [None, None, None, 3]
        outputs = {name: (x.dtype, x.shape.as_list()) for name, x in signature.structured_outputs.items()}
        assert outputs == {
            "probabilities": (tf.float32, [None, None, None, 4]),
            "classes": (tf.uint8, [None, None, None]),
        }


def test_uint8_gives_the_same_and_a_fixed_size_stays_fixed(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter()
    report = to_saved_model(segmenter, tmp_path / "saved", input_dtype="uint8", size=(17, 23))
    assert report.sizes == ((17, 23),)
    array = noise(3, 17, 23, 3)
    found = run(tmp_path / "saved", array.astype("uint8"))[0]
    np.testing.assert_allclose(found, tf.nn.softmax(upsampled(segmenter, array)), atol=1e-4)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    image = serve.structured_input_signature[1]["image"]
    assert (image.dtype, image.shape.as_list()) == (tf.uint8, [None, 17, 23, 3])


def test_crf_and_mirrored_view_are_inside(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter()
    crf = MeanFieldCRF(radius=2, iterations=2, kernels=[GaussianKernel(weight=1, sigma_xy=2, sigma_rgb=0.2)])
    to_saved_model(segmenter, tmp_path / "saved", crf=crf, tta={"flip": True})
    image = noise(2, 19, 31, 3)
    mirrored = upsampled(segmenter, image[:, :, ::-1])[:, :, ::-1]
    mean = (tf.nn.softmax(upsampled(segmenter, image)) + tf.nn.softmax(mirrored)) / 2
    expected = keras.ops.softmax(crf([tf.math.log(mean), image])).numpy()
    assert np.abs(expected - mean).max() > 0.01
    np.testing.assert_allclose(run(tmp_path / "saved", image)[0], expected, atol=1e-4)
    about = json.loads((tmp_path / "saved" / "assets.extra" / "segmenter.json").read_text())
    assert "mirrored" in about["tta"] and "5x5 window" in about["crf"]


def test_many_classes_need_more_than_a_byte(tmp_path):
    image = keras.Input((None, None, 3))
    segmenter = keras.Model(image, keras.layers.Conv2D(255, 1)(keras.layers.Rescaling(1 / 255)(image)))
    to_saved_model(segmenter, tmp_path / "saved", check_sizes=[(4, 5)])
    assert run(tmp_path / "saved", noise(1, 3, 3, 3))[1].dtype == "int32"


def test_report_and_metadata_describe_the_folder(tiny_segmenter, tmp_path, capfd):
    path = tmp_path / "sävéd model"
    report = to_saved_model(
        tiny_segmenter(),
        path,
        class_names=["Straße", "sky", "tree", "car"],
        palette=[(10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200)],
        metadata={"method": "gated CRF"},
    )
    heard = capfd.readouterr()
    assert heard.out == "" and heard.err == ""
    assert isinstance(report, ExportReport) and report.path == path
    assert 0 < report.max_difference < 1e-4 and report.equal_classes > 0.999
    assert report.file_size == sum(map(len, tree(path).values()))
    assert "float32, SavedModel, as in Keras" in str(report) and "opset" not in str(report)
    about = json.loads((path / "assets.extra" / "segmenter.json").read_text(encoding="utf-8"))
    assert about == {
        "class_names": ["Straße", "sky", "tree", "car"],
        "palette": [[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]],
        "value_range": [0, 255],
        "channels": 3,
        "preprocessing": about["preprocessing"],
        "producer_version": keras_wsseg.__version__,
        "method": "gated CRF",
        "precision": "float32",
        "input_dtype": "float32",
    }


def test_exceeded_limits_leave_nothing_or_the_old_one(tiny_segmenter, tmp_path):
    path = tmp_path / "saved"
    with pytest.raises(ValueError, match=r"in a SavedModel as in Keras to within tolerance=1e-12\. Received"):
        to_saved_model(tiny_segmenter(stride=1), path, tolerance=1e-12)
    assert list(tmp_path.iterdir()) == []
    to_saved_model(tiny_segmenter(stride=1), path)
    before = tree(path)
    with pytest.raises(ValueError, match="mean_tolerance=1e-12"):
        to_saved_model(tiny_segmenter(), path, mean_tolerance=1e-12)
    assert tree(path) == before and list(tmp_path.iterdir()) == [path]
    to_saved_model(tiny_segmenter(classes=5), path)
    assert run(path, noise(1, 8, 8, 3))[0].shape == (1, 8, 8, 5)
    assert list(tmp_path.iterdir()) == [path]


class OnlyEager(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = keras.layers.Conv2D(3, 1)

    def call(self, image):
        return self.head(tf.constant(image.numpy()))


def test_a_segmenter_that_cannot_be_traced_is_one_sentence(tmp_path):
    segmenter = OnlyEager()
    segmenter(noise(1, 8, 8, 3))
    with pytest.raises(ValueError, match="`segmenter` cannot be converted to a SavedModel") as caught:
        to_saved_model(segmenter, tmp_path / "saved")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_are_refused(tiny_segmenter, tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must lie in an existing folder"):
        to_saved_model(tiny_segmenter(), tmp_path / "nowhere" / "saved")
    with pytest.raises(ValueError, match=r"`tolerance` must be a number above 0\. Received: tolerance=0"):
        to_saved_model(tiny_segmenter(), tmp_path / "saved", tolerance=0)
    with pytest.raises(ValueError, match="`input_dtype` must be one of float32, uint8"):
        to_saved_model(tiny_segmenter(), tmp_path / "saved", input_dtype="int8")
    with pytest.raises(TypeError, match=r"`segmenter` must be a keras\.Model"):
        to_saved_model("segmenter.keras", tmp_path / "saved")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"`path` must be a new folder, .* which holds notes\.txt"):
        to_saved_model(tiny_segmenter(), tmp_path)
    with pytest.raises(ValueError, match="which is a file"):
        to_saved_model(tiny_segmenter(), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
