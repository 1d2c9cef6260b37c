"""Segmenters of one size for images of any."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg import losses, metrics
from keras_wsseg.layers import ResizeLike, ResizeTo
from keras_wsseg.models import UNet, WeaklySupervisedModel, with_input_size

SIZE = (16, 24)


@pytest.fixture
def segmenter(randomize):
    return randomize(UNet(3, filters=(4, 6), value_range=(0, 255)))


def test_resizes_in_and_out(segmenter, make_images):
    deployed = with_input_size(segmenter, SIZE)
    assert deployed.name == segmenter.name
    for height, width in [(33, 41), (97, 131), (5, 7), (9, 60)]:
        images = make_images(height, width).astype("uint8")
        inside = segmenter(tf.image.resize(tf.cast(images, "float32"), SIZE, antialias=True))
        expected = tf.image.resize(inside, (height, width))
        result = deployed.predict(images, verbose=0)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, atol=1e-4 * np.abs(expected).max())


def test_images_of_the_input_size_pass_unchanged(segmenter, make_images):
    images = make_images(*SIZE)
    deployed = with_input_size(segmenter, SIZE)
    np.testing.assert_array_equal(deployed(images), segmenter(images))
    dynamic = tf.function(deployed, input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_allclose(dynamic(images), segmenter(images), atol=1e-5)


def test_coarse_logits_come_at_the_size_of_the_image(make_images):
    coarse = UNet(3, filters=(4, 6, 8), output_stride=4)
    assert with_input_size(coarse, 16)(make_images(33, 41)).shape == (2, 33, 41, 3)


def test_saves(segmenter, check_saves):
    check_saves(with_input_size(segmenter, SIZE, name="deployed"))


def test_exports_at_any_size_and_says_its_range(randomize, tmp_path):
    export = pytest.importorskip("keras_wsseg.export")
    pytest.importorskip("onnxruntime")
    deployed = with_input_size(UNet(2, filters=(4, 6), value_range=(0, 4095)), SIZE)
    path = tmp_path / "segmenter.onnx"
    report = export.to_onnx(deployed, path, check_sizes=[(33, 41), (97, 131), (7, 5)])
    assert report.max_difference <= 1e-4
    assert export.OnnxSegmenter(path).value_range == (0, 4095)


def test_trains_at_the_size_of_the_images(make_images):
    keras.utils.set_random_seed(0)
    inner = UNet(2, filters=(4, 6))
    model = WeaklySupervisedModel(with_input_size(inner, SIZE))
    loss = losses.PartialCrossEntropy() + losses.GatedCRFLoss(weight=0.01, radius=1)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=[metrics.MeanIoU(2)], run_eagerly=True)
    images = make_images()
    labels = (np.arange(41) > 20).astype("int32") * np.ones((2, 33, 1), "int32")
    images[labels == 1] *= 0.2
    before = inner.get_weights()
    history = model.fit(images, labels, epochs=4, verbose=0).history
    assert history["partial_cross_entropy"][-1] < history["partial_cross_entropy"][0]
    assert any(np.abs(old - new).max() > 0 for old, new in zip(before, inner.get_weights(), strict=True))
    with pytest.raises(ValueError, match="pass value_range=\\(0, 1\\) if its values are in"):
        model.fit(images / 255, labels, verbose=0)


def test_another_size_takes_the_place_of_the_first(segmenter, make_images):
    first = with_input_size(segmenter, 8)
    for model in (first, WeaklySupervisedModel(first)):
        second = with_input_size(model, (32, 40))
        assert [type(layer).__name__ for layer in second.layers].count("ResizeTo") == 1
        np.testing.assert_array_equal(
            second(make_images()), with_input_size(segmenter, (32, 40))(make_images())
        )
        assert second.weights[0] is segmenter.weights[0]


def test_another_size_takes_the_place_of_that_of_the_first_version(segmenter, make_images):
    inputs = keras.Input((None, None, 3), dtype="float32", name="image")
    resized = ResizeTo(8, 8, dtype="float32", name="working_size")(inputs)
    logits = ResizeLike(dtype="float32", name="working_size_undone")(segmenter(resized), inputs)
    second = with_input_size(keras.Model(inputs, logits), SIZE)
    np.testing.assert_array_equal(second(make_images()), with_input_size(segmenter, SIZE)(make_images()))


def test_frozen_layers_stay_frozen_through_a_file(segmenter, tmp_path):
    segmenter.get_layer("down0_0_conv").trainable = False
    deployed = with_input_size(segmenter, 8)
    deployed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    count = len(segmenter.trainable_variables)
    assert len(loaded.trainable_variables) == len(deployed.trainable_variables) == count
    assert count < len(UNet(3, filters=(4, 6)).trainable_variables)


def test_half_precision_takes_16_bit_images(mixed_float16, make_images):
    deployed = with_input_size(UNet(2, filters=(4, 6), value_range=(0, 65535)), SIZE)
    logits = deployed.predict(make_images() * 257, verbose=0)
    assert logits.dtype == np.float32 and np.isfinite(logits).all()


@pytest.mark.parametrize(
    "size,message",
    [
        (0, "`size` must be an integer of at least 1. Received: size=0"),
        ((8, 2.5), "`size` must be an integer of at least 1. Received: size=2.5"),
        ((8, 8, 3), r"`size` must be one number or \(height, width\). Received: size=\(8, 8, 3\)"),
    ],
)
def test_bad_sizes_say_so(segmenter, size, message):
    with pytest.raises(ValueError, match=message):
        with_input_size(segmenter, size)


def test_what_is_no_segmenter_says_so():
    fixed = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    assert with_input_size(fixed, 8).output.shape == (None, None, None, 2)
    with pytest.raises(ValueError, match=r"the segmenter, \(8, 8\). Received: size=\(8, 9\)"):
        with_input_size(fixed, (8, 9))
    two = keras.Model([keras.Input((8, 8, 3)), other := keras.Input((8, 8, 1))], other)
    for wrong in (two, keras.layers.Conv2D(2, 1), keras.Sequential([keras.layers.Conv2D(2, 1)])):
        with pytest.raises(TypeError, match="`segmenter` must be a functional keras.Model .* Received:"):
            with_input_size(wrong, 8)
