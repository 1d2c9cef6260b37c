import types

import keras
import numpy as np
import pytest
from brought_models import ENDINGS, brought, keras_says

from keras_wsseg import WeaklySupervisedModel
from keras_wsseg.callbacks import shown_images
from keras_wsseg.callbacks.shown_images import ShownImages, stated_range
from keras_wsseg.ops.resize import resize_bilinear


class Recorder(keras.Model):
    """A coarse net that keeps the shapes it was called with."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(3, 3, strides=2, padding="same")
        self.shapes, self.training = [], []

    def call(self, x, training=None):
        self.shapes.append(tuple(x.shape))
        self.training.append(training)
        return self.convolution(x)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    sizes = [(8, 6), (5, 7), (8, 6), (8, 6)]
    return [rng.random((*size, 1)).astype("float32") for size in sizes]


def alone(model, image):
    return keras.ops.convert_to_numpy(resize_bilinear(model.convolution(image[None]), image.shape[:2]))[0]


def test_each_image_is_predicted_at_its_size_and_in_its_place(images):
    model = Recorder()
    found = ShownImages(images, 9).probabilities(model)
    classes = ShownImages(images, 9).class_maps(model)
    for image, probabilities, class_map in zip(images, found, classes, strict=True):
        scores = alone(model, image)
        assert probabilities.shape == (*image.shape[:2], 3)
        np.testing.assert_allclose(
            probabilities, keras.ops.convert_to_numpy(keras.ops.softmax(scores)), atol=1e-5
        )
        np.testing.assert_array_equal(class_map, scores.argmax(-1))
    assert set(model.training) == {False}


def test_probabilities_are_those_of_an_export(images):
    model = Recorder()
    model.convolution.activation = keras.activations.softmax
    (found,) = ShownImages(images[:1], 1).probabilities(model, from_logits=False)
    logits = keras.ops.log(model.convolution(images[0][None]))
    expected = keras.ops.softmax(resize_bilinear(logits, images[0].shape[:2]))[0]
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("from_logits", (True, False))
@pytest.mark.parametrize("name", ENDINGS)
def test_a_last_activation_is_not_taken_twice(name, from_logits):
    images = [np.random.default_rng(0).uniform(0, 255, (9, 7, 3)).astype("float32")]
    segmenter = brought(name)
    expected = keras_says(segmenter, images[0][None])[0]
    for model in (segmenter, WeaklySupervisedModel(segmenter)):
        given = ShownImages(images, 1)
        np.testing.assert_allclose(given.probabilities(model, from_logits)[0], expected, atol=1e-5)
        np.testing.assert_array_equal(given.class_maps(model)[0], expected.argmax(-1))
        assert given.classes(model) == expected.shape[-1]


def test_images_of_one_size_go_together_but_not_too_many(images, monkeypatch):
    model = Recorder()
    model(images[0][None])
    model.shapes.clear()
    ShownImages(images, 9).class_maps(model)
    assert model.shapes == [(3, 8, 6, 1), (1, 5, 7, 1)]
    monkeypatch.setattr(shown_images, "_PIXELS", 2 * 8 * 6)
    model.shapes.clear()
    ShownImages(images, 9).class_maps(model)
    assert model.shapes == [(2, 8, 6, 1), (1, 8, 6, 1), (1, 5, 7, 1)]
    monkeypatch.setattr(shown_images, "_PIXELS", 1)
    model.shapes.clear()
    ShownImages(images, 2).class_maps(model)
    assert model.shapes == [(1, 8, 6, 1), (1, 5, 7, 1)]


def test_inputs_by_name_go_together_where_all_of_them_agree_in_size(images):
    shapes = []

    class ByName(keras.Model):
        def call(self, x, training=None):
            shapes.append((tuple(x["image"].shape), tuple(x["depth"].shape)))
            return keras.ops.concatenate([x["image"], -x["image"]], axis=-1)

    depths = [np.zeros((4, 4, 1)), np.zeros((5, 7, 1)), np.zeros((4, 4, 1)), np.zeros((8, 6, 1))]
    inputs = [{"image": image, "depth": depth} for image, depth in zip(images, depths, strict=True)]
    given = ShownImages(inputs, 9)
    maps = given.class_maps(ByName())
    assert shapes == [
        ((2, 8, 6, 1), (2, 4, 4, 1)),
        ((1, 5, 7, 1), (1, 5, 7, 1)),
        ((1, 8, 6, 1), (1, 8, 6, 1)),
    ]
    assert [one.shape for one in maps] == [(8, 6), (5, 7), (8, 6), (8, 6)]
    assert given.classes(ByName()) == 2


def test_range_that_a_model_states():
    assert stated_range(types.SimpleNamespace(value_range=(0, 1))) == (0, 1)
    assert stated_range(types.SimpleNamespace(value_range={"image": (0, 7), "depth": (0, 9)})) == (0, 7)
    assert stated_range(object()) == (0, 255)
