import threading

import keras
import numpy as np

from keras_wsseg.export.crf_calls import intercepted, stage_names
from keras_wsseg.export.deployment import Deployment
from keras_wsseg.layers import MeanFieldCRF


def random_image():
    return np.random.default_rng(0).uniform(0, 255, (1, 9, 11, 3)).astype("float32")


def with_crf_inside(segmenter):
    image = keras.Input((None, None, 3))
    inner = keras.Model(image, MeanFieldCRF(radius=1, name="inside")([segmenter(image), image]))
    return keras.Sequential([keras.Input((None, None, 3)), inner])


def test_every_crf_is_heard_inside_a_model_and_behind_it_and_then_no_more(tiny_segmenter):
    behind = MeanFieldCRF(radius=2, name="behind")
    deployment = Deployment(with_crf_inside(tiny_segmenter(stride=1)), crf=behind)
    names = []

    def answer(layer, own, logits, image):
        names.append(layer.name)
        assert logits.shape == (1, 9, 11, 4) and image.shape == (1, 9, 11, 3)
        return own([logits, image])

    want = np.asarray(deployment.logits(random_image()))
    with intercepted(deployment, answer):
        found = np.asarray(deployment.logits(random_image()))
    np.testing.assert_array_equal(found, want)
    assert names == ["inside", "behind"]
    deployment.logits(random_image())
    assert names == ["inside", "behind"]


def test_the_answer_goes_on_in_place_of_the_layers_own(tiny_segmenter):
    deployment = Deployment(tiny_segmenter(stride=1), crf=MeanFieldCRF(radius=1))
    with intercepted(deployment, lambda layer, own, logits, image: 0 * logits):
        assert not np.asarray(deployment.logits(random_image())).any()


def test_another_thread_that_predicts_meanwhile_gets_its_own(tiny_segmenter):
    deployment = Deployment(tiny_segmenter(stride=1), crf=MeanFieldCRF(radius=1))
    want, found = np.asarray(deployment.logits(random_image())), []
    with intercepted(deployment, lambda layer, own, logits, image: 0 * logits):
        other = threading.Thread(target=lambda: found.append(np.asarray(deployment.logits(random_image()))))
        other.start()
        other.join()
    np.testing.assert_array_equal(found[0], want)


def test_stages_have_names_of_their_own():
    assert stage_names(2) == ("before_crf_0", "behind_crf_0", "before_crf_1", "behind_crf_1")
