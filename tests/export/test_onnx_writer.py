import concurrent.futures
import dataclasses

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from brought_models import ENDINGS, assert_said, brought, keras_says

import keras_wsseg
from keras_wsseg import WeaklySupervisedModel, layers, losses
from keras_wsseg.export import ExportReport, OnnxSegmenter, parity, to_onnx
from keras_wsseg.export.random_images import random_image


def run(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "classes"], {"image": image.astype("float32")})


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def upsampled_probabilities(segmenter, image):
    """From the definition, with the interpolation of Keras, and none of the library's code."""
    logits = segmenter(image, training=False)
    logits = keras.ops.image.resize(logits, image.shape[1:3], interpolation="bilinear")
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


@pytest.fixture(scope="module", params=[1, 4])
def strided(request, tiny_segmenter, tmp_path_factory):
    """A segmenter and its file."""
    segmenter, path = tiny_segmenter(stride=request.param), tmp_path_factory.mktemp("strided") / "a.onnx"
    assert to_onnx(segmenter, path, check_sizes=[(16, 20)]).max_difference < 1e-4
    return segmenter, path


@pytest.mark.any_backend
@pytest.mark.parametrize("height,width", [(33, 57), (5, 3), (1, 130)])
def test_file_says_what_keras_says_at_sizes_not_seen_in_export(strided, height, width):
    segmenter, path = strided
    image = noise(2, height, width, 3)
    probabilities, classes = run(path, image)
    expected = upsampled_probabilities(segmenter, image)
    assert probabilities.shape == (2, height, width, 4)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(OnnxSegmenter(path).probabilities(image), expected, atol=1e-4)
    assert expected.argmax(-1).std() > 0, "an image of one class proves nothing about the class map"
    clear = np.sort(expected, -1)[..., -1] - np.sort(expected, -1)[..., -2] > 1e-3
    np.testing.assert_array_equal(classes[clear], expected.argmax(-1)[clear])


def test_a_device_that_multiplies_in_tf32_exports_as_well(tiny_segmenter, tmp_path, monkeypatch):
    """What such a device needs beside a plain product has no counterpart in ONNX."""
    import tensorflow as tf

    from keras_wsseg.ops import backend

    found = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"] if kind == "GPU" else found(kind)
    )
    assert backend.has_coarse_matmul()
    assert to_onnx(tiny_segmenter(stride=4), tmp_path / "a.onnx").max_difference < 1e-4


def test_report_states_the_differences(tiny_segmenter, tmp_path):
    report = to_onnx(tiny_segmenter(), tmp_path / "a.onnx", opset=17)
    assert isinstance(report, ExportReport)
    assert 0 < report.max_difference < 1e-4
    assert 0 < report.mean_difference <= report.max_difference
    assert report.equal_classes > 0.999
    assert len(report.sizes) >= 2
    assert report.file_size == (tmp_path / "a.onnx").stat().st_size
    assert report.opset == 17
    assert "opset 17" in str(report) and "67x93" in str(report)


@pytest.mark.parametrize("opset", [15, 16, 17, 18])
def test_every_opset_gives_a_valid_file_with_clean_names(tiny_segmenter, tmp_path, opset):
    path = tmp_path / "a.onnx"
    to_onnx(tiny_segmenter(), path, opset=opset, check_sizes=[(16, 20)])
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert next(item.version for item in model.opset_import if item.domain == "") == opset
    dimensions = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert dimensions == [
        ["batch", "height", "width", 3],
        ["batch", "height", "width", 4],
        ["batch", "height", "width"],
    ]
    assert [value.name for value in model.graph.output] == ["probabilities", "classes"]
    assert not model.graph.value_info
    content = path.read_bytes()
    assert b"unk__" not in content and b"Identity" not in content
    assert str(tmp_path).encode() not in content


def test_metadata_makes_the_file_complete(onnx_file):
    model = onnx.load(onnx_file)
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["class_names"] == '["road", "sky", "tree", "car"]'
    assert properties["palette"] == "[[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]]"
    assert properties["value_range"] == "[0.0, 255.0]"
    assert properties["channels"] == "3"
    assert properties["method"] == "gated CRF"
    assert "RGB" in properties["preprocessing"]
    assert model.producer_name == "keras_wsseg"
    assert model.producer_version == properties["producer_version"]


def test_one_logit_becomes_two_classes(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter(channels=1, classes=1, stride=1)
    to_onnx(segmenter, tmp_path / "a.onnx")
    image = noise(1, 21, 18, 1)
    probabilities, classes = run(tmp_path / "a.onnx", image)
    second = 1 / (1 + np.exp(-np.asarray(segmenter(image))[..., 0]))
    assert 0.1 < (second > 0.5).mean() < 0.9
    np.testing.assert_allclose(probabilities, np.stack([1 - second, second], -1), atol=1e-5)
    np.testing.assert_array_equal(classes, second > 0.5)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_last_activation_is_not_taken_twice(name, tmp_path):
    segmenter = brought(name)
    to_onnx(WeaklySupervisedModel(segmenter), tmp_path / "a.onnx")
    image = noise(2, 21, 18, 3)
    expected = keras_says(segmenter, image)
    assert_said(*run(tmp_path / "a.onnx", image), expected)
    found = OnnxSegmenter(tmp_path / "a.onnx", providers=["cpu"]).probabilities(image)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_probabilities_are_averaged_and_refined_as_such(tmp_path):
    segmenter, image = brought("softmax"), noise(1, 20, 18, 3)
    crf = layers.MeanFieldCRF(radius=1, iterations=1)
    to_onnx(segmenter, tmp_path / "a.onnx", tta={"flip": True}, crf=crf)
    views = [keras_says(segmenter, image), keras_says(segmenter, image[:, :, ::-1])[:, :, ::-1]]
    expected = keras.ops.softmax(crf([np.log(np.mean(views, 0) + 1e-30), image])).numpy()
    np.testing.assert_allclose(run(tmp_path / "a.onnx", image)[0], expected, atol=1e-4)


class Subclassed(keras.Model):
    """Its layers do not tell what it ends in."""

    def __init__(self, name):
        super().__init__()
        self.net = brought(name)

    def call(self, x):
        return self.net(x)


class SaysSo(Subclassed):
    yields_probabilities = True


def test_what_layers_do_not_tell_is_seen_in_the_numbers_or_said(tmp_path):
    image = noise(1, 21, 18, 3)
    by_losses = WeaklySupervisedModel(Subclassed("sigmoid"))
    by_losses.compile("sgd", loss=losses.PartialCrossEntropy(from_logits=False))
    for model in (Subclassed("softmax"), SaysSo("sigmoid"), by_losses):
        expected = keras_says(getattr(model, "segmenter", model), image)
        to_onnx(model, tmp_path / "a.onnx")
        assert_said(*run(tmp_path / "a.onnx", image), expected)


def test_an_ending_that_is_no_class_a_pixel_is_refused(tmp_path):
    image = keras.Input((None, None, 3))
    segmenter = keras.Model(image, keras.layers.Conv2D(2, 1, activation="sigmoid", name="head")(image))
    with pytest.raises(ValueError, match="classes overlap. Received: sigmoid of 2 channels"):
        to_onnx(segmenter, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_bilinear_upsampling_is_converted_for_images_of_any_size(tmp_path):
    segmenter = brought("softmax", upsampling="bilinear")
    to_onnx(segmenter, tmp_path / "a.onnx")
    image = noise(1, 22, 38, 3)
    assert_said(*run(tmp_path / "a.onnx", image), keras_says(segmenter, image))
    assert "call" not in vars(segmenter.get_layer("up"))


def test_other_upsampling_names_the_argument_size(tmp_path):
    segmenter = brought("softmax", upsampling="bicubic")
    text = "^`segmenter` must consist of .* pass `size` to an export.* Received: 'up' of bicubic"
    with pytest.raises(ValueError, match=text):
        to_onnx(segmenter, tmp_path / "a.onnx")
    to_onnx(segmenter, tmp_path / "a.onnx", size=(22, 38))
    image = noise(1, 22, 38, 3)
    assert_said(*run(tmp_path / "a.onnx", image), keras_says(segmenter, image))


def test_many_classes_need_more_than_a_byte(tmp_path):
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    for classes, dtype in [(254, "uint8"), (255, "int32")]:
        segmenter = keras.Model(image, keras.layers.Conv2D(classes, 1)(scaled))
        to_onnx(segmenter, tmp_path / "a.onnx", check_sizes=[(4, 5)])
        assert run(tmp_path / "a.onnx", noise(1, 3, 3, 3))[1].dtype == dtype
        assert len(OnnxSegmenter(tmp_path / "a.onnx").palette) == classes


def test_fixed_size_and_batch_stay_fixed(tiny_segmenter, tmp_path):
    report = to_onnx(tiny_segmenter(size=(16, 24), batch=1), tmp_path / "a.onnx")
    assert report.sizes == ((16, 24),)
    shape = onnx.load(tmp_path / "a.onnx").graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 16, 24, 3]


def test_a_fixed_segmenter_takes_no_other_size(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter(size=(16, 24))
    with pytest.raises(
        ValueError, match=r"which are \(16, 24\) where None is any\. Received: size=\(16, 16\)"
    ):
        to_onnx(segmenter, tmp_path / "a.onnx", size=(16, 16))
    with pytest.raises(
        ValueError, match=r"`tta` must not scale .* fixed size\. Received: scales=\(0\.5, 1\.0\)"
    ):
        to_onnx(segmenter, tmp_path / "a.onnx", tta={"scales": (0.5, 1)})
    assert to_onnx(segmenter, tmp_path / "a.onnx", tta={"flip": True}, size=(16, 24)).sizes == ((16, 24),)


def test_training_model_is_exported_by_its_segmenter(tiny_segmenter, tmp_path):
    from keras_wsseg import WeaklySupervisedModel, losses

    segmenter = tiny_segmenter()
    model = WeaklySupervisedModel(segmenter, value_range=(0, 200))
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    to_onnx(model, tmp_path / "a.onnx", check_sizes=[(16, 20)])
    properties = {item.key: item.value for item in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert properties["value_range"] == "[0.0, 200.0]"
    assert properties["method"] == "partial_cross_entropy"
    image = noise(1, 17, 19, 3)
    np.testing.assert_allclose(
        run(tmp_path / "a.onnx", image)[0], upsampled_probabilities(segmenter, image), atol=1e-4
    )


def test_value_range_is_found_in_the_layers(tmp_path):
    class Scale(keras.layers.Layer):
        value_range = (0, 1)

        def call(self, x):
            return x * 2.0

    image = keras.Input((None, None, 3))
    inner = keras.Sequential([keras.Input((None, None, 3)), Scale(), keras.layers.Conv2D(2, 1)])
    to_onnx(keras.Model(image, inner(image)), tmp_path / "a.onnx", check_sizes=[(4, 5)])
    properties = {item.key: item.value for item in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert properties["value_range"] == "[0.0, 1.0]"


def test_subclassed_model_is_exported_at_any_size_once_it_was_called(tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Conv2D(3, 3, padding="same")

        def call(self, x):
            return self.head(x / 255.0)

    net = Net()
    with pytest.raises(ValueError, match=r"call it once on an image\. Received: segmenter=net"):
        to_onnx(net, tmp_path / "a.onnx")
    net(noise(1, 8, 8, 3))
    to_onnx(net, tmp_path / "a.onnx")
    assert run(tmp_path / "a.onnx", noise(3, 7, 11, 3))[1].shape == (3, 7, 11)


def test_mixed_precision_is_exported_in_float32(tmp_path):
    image = keras.Input((None, None, 3))
    policy = keras.DTypePolicy("mixed_bfloat16")
    x = keras.layers.Rescaling(1 / 255, dtype=policy)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", dtype=policy)(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(4, 1, dtype="float32")(x))
    report = to_onnx(segmenter, tmp_path / "a.onnx")
    assert report.max_difference < 1e-4
    full = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(4, 1),
        ]
    )
    full.set_weights(segmenter.get_weights())
    array = noise(1, 9, 9, 3)
    expected = keras.ops.softmax(full(array))
    np.testing.assert_allclose(run(tmp_path / "a.onnx", array)[0], expected, atol=1e-5)
    assert b"BFLOAT16" not in onnx.printer.to_text(onnx.load(tmp_path / "a.onnx")).upper().encode()


@pytest.mark.parametrize(
    "arguments,words",
    [
        ({"opset": 19}, r"`opset` must be one of 15, 16, 17, 18\. Received: opset=19"),
        ({"tolerance": 0}, r"`tolerance` must be a number above 0\. Received: tolerance=0"),
        ({"class_names": ["a"]}, r"`class_names` must name the 4 classes .* Received: class_names=\['a'\]"),
        ({"class_names": ["a", "b", "c", "a"]}, r"`class_names` must be distinct strings"),
        ({"palette": [(0, 0, 0)]}, r"`palette` must hold .* each of the 4 classes"),
        ({"palette": [(0, 0, 300)] * 4}, r"`palette` must hold .* of 0 to 255"),
        ({"value_range": (1, 0)}, r"`value_range` must be .* Received: value_range=\(1, 0\)"),
        ({"value_range": 255}, r"`value_range` must be .* Received: value_range=255"),
        (
            {"metadata": {"channels": "3"}},
            r"names other than .* Received: metadata=\{'channels': '3'\}",
        ),
        ({"metadata": {"steps": 3}}, r"must map strings to strings .* Received: metadata=\{'steps': 3\}"),
        ({"check_sizes": []}, r"`check_sizes` must hold at least one size"),
        ({"check_sizes": [(0, 3)]}, r"`check_sizes` must be .* Received: check_sizes=\[\(0, 3\)\]"),
        ({"check_sizes": [(3,)]}, r"`check_sizes` must be .* Received: check_sizes=\[\(3,\)\]"),
        (
            {"outputs": ()},
            r"`outputs` must be a list of probabilities or classes, or both\. Received: .*\(\)",
        ),
        ({"outputs": "classes"}, r"`outputs` must be a list .* Received: outputs='classes'"),
        (
            {"outputs": ["classes", "logits"]},
            r"`outputs` must be a list .* Received: outputs=\['classes', 'l",
        ),
        ({"outputs": ["classes", "classes"]}, r"`outputs` must be a list of"),
        (
            {"input_dtype": "int8"},
            r"`input_dtype` must be one of float32, uint8\. Received: input_dtype='int8'",
        ),
        (
            {"input_dtype": "uint8", "value_range": (0, 1)},
            r'`input_dtype="uint8"` needs .* in \(0, 255\)\. Received: value_range=\(0\.0, 1\.0\)',
        ),
        ({"precision": "int4"}, r"`precision` must be one of .*float16, int8\. Received: precision='int4'"),
        ({"precision": "int8"}, r"`calibration` must be a folder .* Received: precision=\'int8\', .*None"),
        (
            {"calibration": "."},
            r"`calibration` must be .*None without\. Received: precision='float32', .*'\.'",
        ),
        ({"size": 0}, r"`size` must be None, or pixels .* Received: size=0"),
        ({"size": (8, 8, 3)}, r"`size` must be None, or pixels .* Received: size=\(8, 8, 3\)"),
        ({"size": 2.5}, r"`size` must be None, or pixels .* Received: size=2\.5"),
        ({"tta": "flip"}, r"`tta` must be None or a dict .* Received: tta=flip"),
        (
            {"metadata": {"precision": "x"}},
            r"`metadata` must not hold .* Received: metadata=\{'precision': 'x'\}",
        ),
        ({"mean_tolerance": 0}, r"`mean_tolerance` must be a number above 0"),
        (
            {"check_sizes": (64, 64)},
            r"`check_sizes` must be a list of \(height, width\).* Received: .*\(64, 64\)",
        ),
        ({"outputs": [["classes"]]}, r"`outputs` must be a list of"),
        ({"palette": [(0.9, 0.2, 0.1)] * 4}, r"`palette` must hold .* of 0 to 255"),
        ({"min_equal_classes": 2}, r"`min_equal_classes` must be a number from 0 to 1"),
    ],
)
def test_bad_arguments_are_refused(tiny_segmenter, tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        to_onnx(tiny_segmenter(), tmp_path / "a.onnx", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments,words",
    [
        ({"tolerance": "0.1"}, r"`tolerance` must be a number above 0\. Received: tolerance='0\.1'"),
        ({"metadata": ["x"]}, r"`metadata` must be a dict from string to string\. Received: .* of type list"),
        (
            {"class_names": 7},
            r"`class_names` must be a list of strings\. Received: class_names=7 of type int",
        ),
        ({"class_names": "abcd"}, r"`class_names` must be a list of strings\. Received: .* of type str"),
    ],
)
def test_arguments_of_another_kind_are_refused(tiny_segmenter, tmp_path, arguments, words):
    with pytest.raises((TypeError, ValueError), match=words):
        to_onnx(tiny_segmenter(), tmp_path / "a.onnx", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_sizes_may_be_those_of_numpy(tiny_segmenter, tmp_path):
    assert to_onnx(tiny_segmenter(), tmp_path / "a.onnx", size=np.int64(24)).sizes == ((24, 24),)


def test_a_name_as_long_as_the_system_allows(tiny_segmenter, tmp_path):
    assert to_onnx(tiny_segmenter(), tmp_path / f"{'a' * 240} 100%b.onnx").path.is_file()


def test_bad_paths_and_models_are_refused(tiny_segmenter, tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must lie in an existing folder"):
        to_onnx(tiny_segmenter(), tmp_path / "nowhere" / "a.onnx")
    with pytest.raises(ValueError, match="`path` must be a file"):
        to_onnx(tiny_segmenter(), tmp_path)
    with pytest.raises(TypeError, match=r"`segmenter` must be a keras\.Model .* of type str"):
        to_onnx("segmenter.keras", tmp_path / "a.onnx")
    vector = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must take one image"):
        to_onnx(vector, tmp_path / "a.onnx")
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="must give logits"):
        to_onnx(keras.Model(image, keras.layers.Flatten()(image)), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="must give logits"):
        to_onnx(keras.Model(image, [image, image]), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="must take one image"):
        to_onnx(keras.Model([image, keras.Input((8, 8, 3))], image), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_size_the_model_cannot_take_is_named(tmp_path):
    image = keras.Input((None, None, 3))
    half = keras.layers.Conv2D(3, 3, strides=2, padding="same")(image)
    skip = keras.layers.Add()([keras.layers.UpSampling2D(2)(half), image])
    segmenter = keras.Model(image, skip)
    with pytest.raises(ValueError, match=r"fails on an image of 67 x 93 pixels; .* `check_sizes`"):
        to_onnx(segmenter, tmp_path / "a.onnx")
    assert to_onnx(segmenter, tmp_path / "a.onnx", check_sizes=[(8, 6), (4, 4)]).sizes == ((8, 6), (4, 4))


def test_nan_never_passes(tiny_segmenter, tmp_path):
    segmenter = tiny_segmenter()
    segmenter.set_weights([w * np.nan for w in segmenter.get_weights()])
    with pytest.raises(ValueError, match="must give finite logits"):
        to_onnx(segmenter, tmp_path / "a.onnx")


def test_a_difference_above_tolerance_leaves_the_old_file(tiny_segmenter, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"the old one")
    with pytest.raises(
        ValueError, match=r"within tolerance=1e-12\. Received: a difference of .* logits of up to"
    ):
        to_onnx(tiny_segmenter(), path, tolerance=1e-12)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]
    to_onnx(tiny_segmenter(), path)
    assert onnx.load(path).producer_name == "keras_wsseg"


@pytest.mark.parametrize("names", [("classes",), ("probabilities",), ("classes", "probabilities")])
def test_only_the_outputs_asked_for_are_in_the_file(tiny_segmenter, onnx_file, tmp_path, names):
    path = tmp_path / "a.onnx"
    report = to_onnx(tiny_segmenter(), path, outputs=names)
    assert 0 < report.max_difference < 1e-4
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.output] == list(names)
    kinds = {node.op_type for node in model.graph.node}
    assert ("ArgMax" in kinds, "Exp" in kinds) == ("classes" in names, "probabilities" in names)
    image = noise(1, 17, 30, 3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    whole = dict(zip(("probabilities", "classes"), run(onnx_file, image), strict=True))
    for name, found in zip(names, session.run(None, {"image": image}), strict=True):
        np.testing.assert_allclose(found, whole[name], atol=0 if name == "classes" else 1e-6)


@pytest.mark.parametrize("settings", [{"check_sizes": [(64, 64)]}, {"precision": "int8"}])
def test_sizes_that_strides_divide_do_not_hide_that_logits_are_resized(tmp_path, settings):
    """Down by 4 and up by 4 is the image's size only where 4 divides it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(x)
    x = keras.layers.Conv2DTranspose(8, 4, strides=4, padding="same")(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(4, 1)(x))
    if "precision" in settings:
        settings = {**settings, "calibration": noise(2, 64, 64, 3), "min_equal_classes": 0.0}
    to_onnx(segmenter, tmp_path / "a.onnx", **settings)
    array = noise(1, 67, 93, 3)
    probabilities, classes = run(tmp_path / "a.onnx", array)
    assert probabilities.shape == (1, 67, 93, 4) and classes.shape == (1, 67, 93)
    atol = 0.1 if "precision" in settings else 1e-4
    np.testing.assert_allclose(probabilities, upsampled_probabilities(segmenter, array), atol=atol)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_files_of_every_precision_say_who_wrote_them(tiny_segmenter, tmp_path, precision):
    calibration = noise(2, 32, 32, 3) if precision == "int8" else None
    limits = {"min_equal_classes": 0.0, "mean_tolerance": 1.0, "tolerance": 1.0}
    to_onnx(tiny_segmenter(), tmp_path / "a.onnx", precision=precision, calibration=calibration, **limits)
    model = onnx.load(tmp_path / "a.onnx")
    assert model.producer_name == "keras_wsseg" and not model.graph.value_info
    assert OnnxSegmenter(tmp_path / "a.onnx").metadata == {"precision": precision, "input_dtype": "float32"}


def test_bytes_as_they_are(tiny_segmenter, tmp_path):
    path = tmp_path / "a.onnx"
    to_onnx(tiny_segmenter(), path, input_dtype="uint8")
    model = onnx.load(path)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["input_dtype"] == "uint8" and "as uint8" in properties["preprocessing"]
    assert properties["precision"] == "float32"
    image = noise(2, 19, 21, 3).astype("uint8")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": image})
    want = upsampled_probabilities(tiny_segmenter(), image.astype("float32"))
    np.testing.assert_allclose(found, want, atol=1e-4)


@pytest.mark.parametrize("size,pixels", [(24, (24, 24)), ((17, 30), (17, 30))])
def test_a_size_can_be_fixed_and_the_batch_stays_free(tiny_segmenter, tmp_path, size, pixels):
    report = to_onnx(tiny_segmenter(), tmp_path / "a.onnx", size=size)
    assert report.sizes == (pixels,)
    shape = onnx.load(tmp_path / "a.onnx").graph.input[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["batch", *pixels, 3]
    assert run(tmp_path / "a.onnx", noise(3, *pixels, 3))[1].shape == (3, *pixels)


@pytest.mark.any_backend
def test_what_is_folded_in_is_checked_on_every_backend(tiny_segmenter, tmp_path):
    crf = keras_wsseg.layers.MeanFieldCRF(radius=2, iterations=2)
    report = to_onnx(
        tiny_segmenter(),
        tmp_path / "a.onnx",
        crf=crf,
        tta={"flip": True},
        input_dtype="uint8",
        check_sizes=[(13, 22)],
    )
    assert report.max_difference < 1e-4
    assert "mirrored" in OnnxSegmenter(tmp_path / "a.onnx").metadata["tta"]


def test_all_of_it_in_one_file(tiny_segmenter, tmp_path):
    """Bytes in, mirrored, scaled and refined, classes out: as Keras does it step by step."""
    crf = keras_wsseg.layers.MeanFieldCRF(radius=2, iterations=2)
    segmenter, path = tiny_segmenter(), tmp_path / "a.onnx"
    report = to_onnx(
        segmenter,
        path,
        crf=crf,
        tta={"flip": True, "scales": (0.5, 1)},
        input_dtype="uint8",
        outputs=["classes"],
        metadata={"method": "gated CRF"},
    )
    assert report.max_difference < 1e-4
    image = random_image(np.random.default_rng(2), (1, 37, 43, 3), (0, 255), "uint8").astype("float32")
    views = []
    for scale in (0.5, 1):
        for step in (1, -1):
            small = keras.ops.image.resize(image, (int(37 * scale + 0.5), int(43 * scale + 0.5)))[
                :, :, ::step
            ]
            logits = segmenter(small)[:, :, ::step]
            views.append(keras.ops.softmax(keras.ops.image.resize(logits, (37, 43))))
    mean = keras.ops.log(sum(views) / 4)
    want = np.asarray(crf([mean, image])).argmax(-1)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": image.astype("uint8")})
    assert len(np.unique(want)) > 1 and (found == want).mean() >= 0.999
    properties = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert properties["tta"] == "mean probability at scales 0.5, 1, each mirrored too"
    assert properties["crf"].startswith("mean field, 5x5 window") and properties["method"] == "gated CRF"


def test_too_few_equal_classes_leave_no_file(tiny_segmenter, tmp_path, monkeypatch):
    compare = parity.compare
    monkeypatch.setattr(
        parity, "compare", lambda *both: dataclasses.replace(compare(*both), equal_classes=0.9985)
    )
    with pytest.raises(ValueError, match=r"min_equal_classes=0\.999\. Received: .*99\.85% equal classes"):
        to_onnx(tiny_segmenter(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
    assert to_onnx(tiny_segmenter(), tmp_path / "a.onnx", min_equal_classes=0.99).equal_classes == 0.9985


@keras.saving.register_keras_serializable("tests.export")
class Block(keras.layers.Layer):
    """Makes a layer of its own, under the policy of the moment."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_mixed_policy_does_not_reach_the_file(tmp_path, policy):
    """The script that trained exports, and its policy still holds."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((None, None, 3))
        x = Block()(keras.layers.Rescaling(1 / 255)(image))
        segmenter = keras.Model(image, keras.layers.Conv2D(4, 1, dtype="float32")(x))
        crf = keras_wsseg.layers.MeanFieldCRF(radius=2, iterations=2)
        report = to_onnx(segmenter, tmp_path / "a.onnx", crf=crf)
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy(before)
    assert report.max_difference < 1e-4
    graph = onnx.load(tmp_path / "a.onnx").graph
    casts = [node.attribute[0].i for node in graph.node if node.op_type == "Cast"]
    assert not {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16} & set(casts)
    assert not {"SpaceToDepth", "DepthToSpace"} & {node.op_type for node in graph.node}


def test_several_threads_may_export_one_model(tmp_path):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, dilation_rate=2, padding="same")(keras.layers.Rescaling(1 / 255)(image))
    segmenter = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        paths = [tmp_path / f"{number}.onnx" for number in range(3)]
        reports = list(pool.map(lambda path: to_onnx(segmenter, path), paths))
    assert all(report.max_difference < 1e-4 for report in reports)


class Cholesky(keras.layers.Layer):
    def call(self, x):
        square = keras.ops.matmul(x, keras.ops.swapaxes(x, -1, -2)) + 1e6 * keras.ops.eye(8)
        return keras.ops.linalg.cholesky(square)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 8)


def test_an_operation_that_onnx_lacks_is_one_sentence(tmp_path, capfd):
    image = keras.Input((8, 8, 3))
    segmenter = keras.Model(image, Cholesky()(image))
    with pytest.raises(ValueError, match=r"^`segmenter` .*Cholesky") as caught:
        to_onnx(segmenter, tmp_path / "a.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_good_export_is_silent(tiny_segmenter, tmp_path, capfd):
    to_onnx(tiny_segmenter(), tmp_path / "a.onnx")
    heard = capfd.readouterr()
    assert heard.out == "" and heard.err == ""


def test_an_optimization_that_fails_is_left_out(tiny_segmenter, tmp_path, monkeypatch, capfd):
    def fail(self, graph):
        raise RuntimeError("broken")

    monkeypatch.setattr("tf2onnx.optimizer.transpose_optimizer.TransposeOptimizer._optimize", fail)
    assert to_onnx(tiny_segmenter(), tmp_path / "a.onnx").max_difference < 1e-4
    heard = capfd.readouterr()
    assert heard.out == "" and heard.err == ""
