"""The matrix: each segmenter, backbone and method of the library as a file, at sizes not seen in export."""

import keras
import numpy as np
import pytest

from keras_wsseg import layers, models
from keras_wsseg.annotations import simulate_scribbles, write_label_map
from keras_wsseg.data import synthetic_shapes
from keras_wsseg.export import OnnxSegmenter, to_onnx
from keras_wsseg.export.random_images import random_image
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.models.application import application_name
from keras_wsseg.models.encoder import encode
from keras_wsseg.training import TrainingConfig, train
from keras_wsseg.training.run_folder import load_model
from keras_wsseg.visualization import write_png

UNSEEN = ((37, 61), (64, 64), (101, 75))
CLASSES = 4


def encoder_unet():
    return models.EncoderUNet(CLASSES, backbone="resnet18", filters=(32, 16, 16, 8, 8))


def reliable_regions():
    small = models.feature_extractor(models.UNet(1, filters=(8, 16, 16)))
    return models.ReliableRegionMining(CLASSES, backbone=small, dilation=2, crf=None).segmenter


SEGMENTERS = {
    "UNet": lambda: models.UNet(CLASSES, filters=(8, 16, 32)),
    "UNet, coarse logits": lambda: models.UNet(CLASSES, filters=(8, 16, 32), output_stride=4),
    "DeepLabV3Plus": lambda: models.DeepLabV3Plus(CLASSES, backbone="resnet18", filters=64),
    "EncoderUNet": encoder_unet,
    "UMobileNetV2": lambda: models.UMobileNetV2(CLASSES),
    "VGG16Skip": lambda: models.VGG16Skip(CLASSES, filters=(32, 16, 16, 16)),
    "ReliableRegionMining": reliable_regions,
    "with_input_size": lambda: models.with_input_size(models.UNet(CLASSES, filters=(8, 16)), 48),
}
# The smallest of each family, and a stride up to which it holds every kind of layer that it has.
BACKBONES = {
    "resnet34": 8,
    "resnet38": 8,
    "ConvNeXtTiny": 8,
    "DenseNet121": 8,
    "EfficientNetB0": 8,
    "EfficientNetV2B0": 16,
    "MobileNet": 8,
    "MobileNetV2": 8,
    "MobileNetV3Small": 16,
    "ResNet50": 8,
    "ResNet50V2": 8,
    "VGG16": 8,
    "VGG19": 8,
}
LONG_TO_BUILD = {"DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "resnet38"}
NO_SEGMENTERS = {"WeaklySupervisedModel", "copy_weights", "feature_extractor"}


def made_images(channels=3, size=(48, 48), count=4, seed=3):
    return random_image(np.random.default_rng(seed), (count, *size, channels), (0, 255))


def settled(segmenter, largest=10):
    """With the statistics of images in its normalization and logits of up to ten, as after a training."""
    for layer in segmenter._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    contrasts = np.linspace(0.2, 1, 12).reshape(-1, 1, 1, 1).astype("float32")
    many = 255 * contrasts[::-1] * (1 - contrasts) + contrasts * made_images(size=(64, 64), count=12)
    segmenter(many, training=True)
    last = [layer for layer in segmenter._flatten_layers() if isinstance(layer, keras.layers.Conv2D)][-1]
    kernel, *bias = last.get_weights()
    scale = largest / np.abs(np.asarray(segmenter(many, training=False))).max()
    last.set_weights([kernel * scale, *(one * scale for one in bias)])
    return segmenter


def expected(segmenter, image):
    """From the definition, with the interpolation of `tf.image.resize`, and none of the library's code."""
    import tensorflow as tf

    logits = tf.cast(segmenter(image, training=False), tf.float32)
    logits = tf.image.resize(logits, image.shape[1:3], method="bilinear")
    if logits.shape[-1] == 1:
        logits = tf.concat([tf.zeros_like(logits), logits], -1)
    return tf.nn.softmax(logits).numpy()


def check(segmenter, path, channels=3):
    found = OnnxSegmenter(path)
    for size in UNSEEN:
        image = made_images(channels, size, count=2, seed=sum(size))
        want = expected(segmenter, image)
        assert len(np.unique(want.argmax(-1))) > 1, "an image of one class proves nothing about class maps"
        np.testing.assert_allclose(found.probabilities(image), want, atol=1e-4)
        assert (found(image) == want.argmax(-1)).mean() >= 0.999


def test_the_matrix_is_whole():
    assert {name.split(",")[0] for name in SEGMENTERS} == set(models.__all__) - NO_SEGMENTERS


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_segmenter(name, tmp_path):
    keras.utils.set_random_seed(0)
    segmenter = settled(SEGMENTERS[name]())
    report = to_onnx(segmenter, tmp_path / "a.onnx")
    assert report.max_difference <= 1e-4 and report.equal_classes >= 0.999
    assert not set(report.sizes) & set(UNSEEN)
    check(segmenter, tmp_path / "a.onnx")


def family(name):
    """Where `keras.applications` builds a network; None for names of nothing that is a backbone."""
    try:
        return getattr(keras.applications, application_name(name)).__module__
    except ValueError:
        return None


def test_every_family_of_backbones_is_in_the_matrix():
    known = {family(name) for name in dir(keras.applications)}
    assert len(known) > 8
    assert {family(name) for name in BACKBONES} == known


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG_TO_BUILD)) for name in BACKBONES],
)
def test_every_backbone(name, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    (x,) = encode(image, name, (BACKBONES[name],), width=8 if name == "resnet38" else None)
    # Other images than those it was settled on have logits several times as large.
    segmenter = settled(keras.Model(image, keras.layers.Conv2D(CLASSES, 1)(x)), largest=3)
    report = to_onnx(segmenter, tmp_path / "a.onnx")
    assert report.max_difference <= 1e-4 and report.equal_classes >= 0.999
    check(segmenter, tmp_path / "a.onnx")


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("name", ["UNet", "UNet, coarse logits", "EncoderUNet", "with_input_size"])
def test_segmenters_with_a_crf_behind_it(name, tmp_path):
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    segmenter = settled(SEGMENTERS[name]())
    crf = layers.MeanFieldCRF(
        radius=2, iterations=2, kernels=[GaussianKernel(weight=1, sigma_xy=2, sigma_rgb=0.2)]
    )
    to_onnx(segmenter, tmp_path / "a.onnx", crf=crf)
    found = OnnxSegmenter(tmp_path / "a.onnx")
    for size in UNSEEN:
        image = made_images(size=size, count=1, seed=sum(size))
        logits = tf.image.resize(segmenter(image, training=False), size, method="bilinear")
        refined = keras.ops.convert_to_numpy(keras.ops.softmax(crf([logits, image])))
        assert np.abs(refined - tf.nn.softmax(logits)).max() > 0.01
        np.testing.assert_allclose(found.probabilities(image), refined, atol=1e-4)
        assert (found(image) == refined.argmax(-1)).mean() >= 0.999


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six drawn images with scribbles, dense labels and, by them, tags."""
    root = tmp_path_factory.mktemp("drawn")
    images, labels, names = synthetic_shapes(6, size=32, num_classes=2)
    for kind in ("images", "scribbles", "labels"):
        (root / kind).mkdir()
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        write_png(root / "images" / f"p{index}.png", image)
        write_label_map(root / "labels" / f"p{index}.png", label)
        write_label_map(root / "scribbles" / f"p{index}.png", simulate_scribbles(label))
    (root / "train.txt").write_text("p0\np1\np2\np3\n")
    (root / "classes.txt").write_text("\n".join(names))
    return root


LABELED = ("GatedCRFLoss", "DenseCRFLoss", "NormalizedCutLoss", "KernelCutLoss", "ADMLoss", None)
METHODS = {
    **{f"scribbles, {loss}": ("scribbles", {"loss": loss}) for loss in LABELED},
    "full": ("full", {}),
    "single-class": (
        "single-class",
        {"stages.annealing_epochs": 1, "stages.normal_epochs": 1, "negative_epochs": 0},
    ),
    "tags": ("tags", {"data.tags": "labels"}),
    "rrm": (
        "rrm",
        {
            "data.tags": "labels",
            "segmenter.scales": (1.0,),
            "segmenter.crf": "windowed",
            "segmenter.dilation": 2,
            "segmenter.backbone.filters": (4, 8),
        },
    ),
}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, folder, tmp_path):
    recipe, changes = METHODS[method]
    settings = {
        "steps": 6,
        "batch_size": 2,
        "image_size": 32,
        "steps_per_epoch": 3,
        "images_every": 0,
        "validation": None,
    }
    if recipe != "rrm":
        settings["segmenter.filters"] = (4, 8)
    config = TrainingConfig.from_recipe(recipe, folder, {**settings, **changes})
    run = train(config, tmp_path / "run", verbose=0)
    segmenter = load_model(run.segmenter)
    channels = segmenter.input_shape[-1]
    to_onnx(segmenter, tmp_path / "a.onnx", metadata={"method": method})
    assert OnnxSegmenter(tmp_path / "a.onnx").metadata["method"] == method
    check(segmenter, tmp_path / "a.onnx", channels)
