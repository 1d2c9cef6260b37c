import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg.export.deployment import Deployment, softmax
from keras_wsseg.layers import MeanFieldCRF


def random_image(height=17, width=23):
    return np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype("float32")


def by_hand(segmenter, image, flip, scales):
    """Each view by itself, resized by TensorFlow, in float64."""
    size, total, views = image.shape[1:3], 0.0, 0
    for scale in scales:
        smaller = tf.image.resize(image, [round(n * scale + 1e-9) for n in size]).numpy()
        for mirrored in (False, True)[: 1 + flip]:
            logits = np.asarray(segmenter(smaller[:, :, ::-1] if mirrored else smaller, training=False))
            logits = (
                tf.image.resize(logits[:, :, ::-1] if mirrored else logits, size).numpy().astype("float64")
            )
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            total, views = total + weights / weights.sum(-1, keepdims=True), views + 1
    return total / views


@pytest.mark.parametrize("flip,scales", [(True, (1.0,)), (False, (0.5, 1.0, 1.5)), (True, (0.75, 1.25))])
@pytest.mark.parametrize("stride", [1, 4])
def test_augmentation_is_the_mean_over_the_views(tiny_segmenter, flip, scales, stride):
    segmenter = tiny_segmenter(stride=stride)
    deployment = Deployment(segmenter, stride > 1, None, flip, scales)
    found = keras.ops.convert_to_numpy(keras.ops.softmax(deployment.logits(random_image())))
    np.testing.assert_allclose(found, by_hand(segmenter, random_image(), flip, scales), atol=2e-5)
    plain = keras.ops.convert_to_numpy(
        keras.ops.softmax(Deployment(segmenter, stride > 1).logits(random_image()))
    )
    assert np.abs(found - plain).max() > 0.01


def test_a_mirrored_image_gives_the_mirrored_answer(tiny_segmenter):
    deployment = Deployment(tiny_segmenter(stride=4), True, None, True)
    forth = np.asarray(deployment.logits(random_image(16, 20)))
    back = np.asarray(deployment.logits(random_image(16, 20)[:, :, ::-1].copy()))
    np.testing.assert_allclose(forth, back[:, :, ::-1], atol=1e-4)


def test_a_class_that_no_view_knows_stays_finite(tiny_segmenter):
    segmenter = tiny_segmenter(stride=1)
    kernel, _ = segmenter.layers[-1].get_weights()
    segmenter.layers[-1].set_weights([kernel, np.array([0, 0, 0, -1e4], "float32")])
    logits = np.asarray(Deployment(segmenter, flip=True).logits(random_image()))
    assert np.isfinite(logits).all() and logits[..., 3].max() < -60


def test_the_crf_comes_behind_the_mean_of_the_views(tiny_segmenter):
    crf = MeanFieldCRF(radius=2, iterations=2)
    segmenter = tiny_segmenter(stride=1)
    mean = Deployment(segmenter, flip=True).logits(random_image())
    found = Deployment(segmenter, crf=crf, flip=True).logits(random_image())
    np.testing.assert_array_equal(np.asarray(found), np.asarray(crf([mean, random_image()])))
    assert np.abs(np.asarray(found) - np.asarray(mean)).max() > 0.1


def test_softmax_is_its_definition_and_does_not_overflow():
    logits = np.array([[1e4, 0.0, -1e4], [2.0, 1.0, 0.0]], "float32")
    np.testing.assert_allclose(
        np.asarray(softmax(logits)), [[1, 0, 0], [0.66524096, 0.24472847, 0.09003057]], atol=1e-7
    )
