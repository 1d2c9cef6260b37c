import dataclasses

import keras
import numpy as np
import pytest
from brought_models import ENDINGS, brought, keras_says

from keras_wsseg.layers import MeanFieldCRF, crf_preset
from keras_wsseg.training import RefinedSegmenter, RunFolder, evaluate, train
from keras_wsseg.training.build import build_training_data, build_validation_data


class Noisy:
    """Sees black and white, with one pixel in ten wrong."""

    class_names = ("black", "white")

    def probabilities(self, image):
        wrong = np.random.default_rng(0).random(image.shape[:2]) < 0.1
        white = np.where(wrong, image[..., 0] < 128, image[..., 0] >= 128)
        return np.stack([np.where(white, 0.3, 0.7), np.where(white, 0.7, 0.3)], axis=-1).astype("float32")


def image():
    image = np.zeros((24, 30, 3), "uint8")
    image[:, 13:] = 255
    return image


@pytest.mark.parametrize("kind", ("windowed", "dense"))
def test_noise_goes_and_the_border_stays(kind):
    refined = RefinedSegmenter(Noisy(), crf_preset(kind, (0, 255), coupling=3))
    want = (image()[..., 0] > 0).astype(int)
    assert (Noisy().probabilities(image()).argmax(-1) != want).mean() > 0.05
    np.testing.assert_array_equal(refined(image()), want)
    np.testing.assert_allclose(refined.probabilities(image()).sum(-1), 1, rtol=1e-5)
    assert refined.class_names == ("black", "white")


def test_a_keras_model_is_refined_from_its_logits_at_any_stride():
    net = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, strides=2, padding="same")]
    )
    assert RefinedSegmenter(net, crf_preset("windowed", (0, 255)))(image()).shape == (24, 30)


def test_settings_of_the_crf():
    crf = crf_preset("dense", (0, 1), sigma_xy=40, sigma_rgb=0.1, coupling=5, iterations=3)
    assert isinstance(crf, MeanFieldCRF) and crf.radius is None and crf.iterations == 3
    assert [kernel.weight for kernel in crf.kernels] == [pytest.approx(1.5), 5]
    assert (crf.kernels[1].sigma_xy, crf.kernels[1].sigma_rgb) == (40, pytest.approx(0.1))
    assert crf_preset("windowed", (0, 255)).radius == 5
    with pytest.raises(ValueError, match="`preset` must be one of windowed, dense. Received: preset='none'"):
        crf_preset("none", (0, 255))


def test_a_training_scores_with_and_without(small_config, tmp_path):
    config = small_config.replace(
        {
            "score_crf": "windowed",
            "loss": None,
            "warm_up": None,
            "steps": 2,
            "steps_per_epoch": 1,
            "images_every": 0,
        }
    )
    scores = train(config, tmp_path / "run", verbose=0).read_scores()
    assert scores["refined"]["images"] == scores["images"] == 2
    run = RunFolder(tmp_path / "run")
    segmenter = keras.saving.load_model(run.segmenter, compile=False)
    refined = RefinedSegmenter(segmenter, crf_preset("windowed", (0, 255)))
    validation = build_validation_data(config, build_training_data(config))
    assert scores["refined"] == dataclasses.asdict(evaluate(refined, validation))
    assert scores["refined"]["iou"] != scores["iou"] and run.finished


def test_one_logit_is_two_classes():
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(1, 1)])
    net.layers[0].set_weights([np.zeros((1, 1, 3, 1)), np.array([5.0])])
    assert RefinedSegmenter(net, crf_preset("windowed", (0, 255)))(image()).all()


@pytest.mark.parametrize("name", ENDINGS)
def test_a_last_activation_is_not_taken_twice(name):
    segmenter, crf = brought(name), MeanFieldCRF(radius=1, iterations=1)
    given = np.random.default_rng(0).uniform(0, 255, (9, 7, 3)).astype("float32")
    logits = np.log(keras_says(segmenter, given[None]) + 1e-30)
    expected = keras.ops.softmax(crf([logits, given[None]]))[0]
    np.testing.assert_allclose(RefinedSegmenter(segmenter, crf).probabilities(given), expected, atol=1e-5)


def test_a_image_in_another_range_is_an_error():
    refined = RefinedSegmenter(Noisy(), crf_preset("windowed", (0, 1)))
    with pytest.raises(
        ValueError, match="between 0 and 1, the value_range of the CRF. Received: values from 0 to"
    ):
        refined(image())
