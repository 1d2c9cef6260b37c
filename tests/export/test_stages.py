import functools

import keras
import numpy as np
import pytest

from keras_wsseg import models
from keras_wsseg.export.deployment import Deployment
from keras_wsseg.export.random_images import random_image
from keras_wsseg.export.stages import distance, largest_in_stages, softmax
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF

IMAGE = random_image(np.random.default_rng(0), (1, 29, 45, 3), (0, 255))


def kernels(weights=(3, 10), xy=3.0, rgb=13 / 255):
    return [
        GaussianKernel(weight=weights[0], sigma_xy=xy),
        GaussianKernel(weight=weights[1], sigma_xy=80, sigma_rgb=rgb),
    ]


CRF = {"radius": 3, "kernels": kernels()}
# Ten times the published weights, and three times with twice the steps: they tip pixels for nothing.
STRONG = {"radius": 3, "kernels": kernels((30, 100))}
LONG = {"radius": 5, "kernels": kernels((9, 30)), "iterations": 10}
FAULTS = {
    "a weight 1 % off": {"kernels": kernels((3, 10.1))},
    "the other weight 1 % off": {"kernels": kernels((3.03, 10))},
    "both weights 1 % off": {"kernels": kernels((3.03, 10.1))},
    "a sigma of the position 5 % off": {"kernels": kernels(xy=3.15)},
    "a sigma of the color 1 % off": {"kernels": kernels(rgb=0.0515)},
    "a step less": {"iterations": 4},
    "a step more": {"iterations": 6},
    "a smaller window": {"radius": 2},
    "another normalization": {"normalization": "row"},
}


@functools.cache
def untrained(seed):
    keras.utils.set_random_seed(seed)
    return models.UNet(3)


@functools.cache
def trained(seed):
    """Learns within seconds to tell dark from medium and bright, as surely as trained segmenters do."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    segmenter = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    segmenter.compile(keras.optimizers.Adam(0.05), loss)
    labels = np.digitize(IMAGE.mean(-1), [90, 150])
    segmenter.fit(IMAGE, labels, epochs=60, verbose=0)
    return segmenter


# Behind the network of seed 2 a CRF makes one class of the whole image.
@pytest.fixture(scope="module", params=[(untrained, 0), (untrained, 2), (untrained, 3), (trained, 0)])
def segmenter(request):
    make, seed = request.param
    return make(seed)


def in_file(segmenter, crf, noise=None, image=IMAGE, change=lambda logits: logits):
    """What a file would say whose network rounds otherwise, by a seed, and whose CRF is `crf`."""
    logits = np.asarray(segmenter(IMAGE))
    digits = 0 if noise is None else np.random.default_rng(noise).standard_normal(logits.shape)
    before = change(logits + (1e-6 * np.abs(logits).max() * digits).astype("float32"))
    behind = np.asarray(MeanFieldCRF(**crf)([before, image]))
    return softmax(behind), [before, behind]


@pytest.mark.parametrize("crf", [CRF, STRONG, LONG])
@pytest.mark.parametrize("noise", [10, 11])
def test_last_digits_pass_whatever_the_crf_makes_of_them(segmenter, crf, noise):
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**crf))
    assert largest_in_stages(deployment, IMAGE, *in_file(segmenter, crf, noise)) < 1e-4


def test_the_largest_difference_of_the_whole_is_chance():
    """Why the stages are judged apart: the same noise takes the whole over any narrow limit."""
    segmenter, crf = untrained(3), MeanFieldCRF(**STRONG)
    image = random_image(np.random.default_rng(0), (2, 67, 93, 3), (0, 255))
    logits = np.asarray(segmenter(image))
    noise = np.random.default_rng(10).standard_normal(logits.shape).astype("float32")
    want, found = (softmax(np.asarray(crf([x, image]))) for x in (logits, logits + 4e-6 * noise))
    assert np.abs(found - want).max() > 1e-3


@pytest.mark.parametrize("strong", [CRF, STRONG])
def test_a_crf_that_rounds_otherwise_passes(segmenter, strong):
    """The last digits of what comes out of a step, as another order of the sums leaves them."""
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**strong))
    before = in_file(segmenter, strong)[1][0]
    digits = np.random.default_rng(7).standard_normal(before.shape).astype("float32")
    scale = max(1.0, np.abs(np.asarray(MeanFieldCRF(**strong)([before, IMAGE]))).max())
    behind = np.asarray(MeanFieldCRF(**strong)([before + 3e-7 * scale * digits, IMAGE]))
    assert largest_in_stages(deployment, IMAGE, softmax(behind), [before, behind]) < 2e-5


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("make,seed", [(untrained, 0), (trained, 0)])
def test_a_wrong_crf_is_seen(make, seed, fault):
    segmenter = make(seed)
    right, wrong = in_file(segmenter, CRF), in_file(segmenter, {**CRF, **FAULTS[fault]})
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**CRF))
    assert largest_in_stages(deployment, IMAGE, *right) < 1e-5
    assert largest_in_stages(deployment, IMAGE, *wrong) > 2e-4


def shifted(image):
    return np.roll(image, 1, axis=2)


def one_pixel_moved(image):
    image = image.copy()
    image[:, 20, 21] = image[:, 5, 40]
    return image


@pytest.mark.parametrize("fault", [shifted, one_pixel_moved])
def test_a_crf_that_sees_another_image_is_seen(segmenter, fault):
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**CRF))
    wrong = in_file(segmenter, CRF, image=fault(IMAGE))
    assert largest_in_stages(deployment, IMAGE, *wrong) > 2e-4


@pytest.mark.parametrize(
    "fault",
    [
        shifted,
        lambda logits: logits[..., [1, 0, 2]],
        lambda logits: logits * np.float32(1.0003),
        lambda logits: np.where(np.arange(29)[:, None, None] == 28, np.float32(0), logits),
    ],
)
def test_wrong_logits_before_a_crf_are_seen(segmenter, fault):
    """Behind a CRF that makes one class of everything nothing of it would be left."""
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**CRF))
    assert largest_in_stages(deployment, IMAGE, *in_file(segmenter, CRF, change=fault)) > 2e-4


def test_what_follows_the_last_crf_is_held_to_it(segmenter):
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**CRF))
    probabilities, stages = in_file(segmenter, CRF)
    wrong = probabilities.copy()
    wrong[0, 3, 4] += [3e-4, -3e-4, 0]
    assert largest_in_stages(deployment, IMAGE, wrong, stages) == pytest.approx(3e-4, rel=0.01)


@pytest.mark.parametrize("cut", [lambda stages: stages[:1], lambda stages: [*stages, *stages]])
def test_a_crf_too_few_or_too_many_is_infinitely_far(cut):
    segmenter = untrained(0)
    probabilities, stages = in_file(segmenter, CRF)
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**CRF))
    assert largest_in_stages(deployment, IMAGE, probabilities, cut(stages)) == np.inf


def test_crfs_that_follow_each_other_are_judged_one_by_one():
    inner = untrained(3)
    image = keras.Input((None, None, 3))
    segmenter = keras.Model(image, MeanFieldCRF(**STRONG)([inner(image), image]))
    deployment = Deployment(segmenter, crf=MeanFieldCRF(**CRF))

    def said(second):
        first = in_file(inner, STRONG, 10)[1]
        behind = np.asarray(MeanFieldCRF(**second)([first[1], IMAGE]))
        return softmax(behind), [*first, first[1], behind]

    assert largest_in_stages(deployment, IMAGE, *said(CRF)) < 2e-5
    assert largest_in_stages(deployment, IMAGE, *said({**CRF, "kernels": kernels((3.03, 10.1))})) > 2e-4


def test_one_channel_and_probabilities_are_compared_as_they_are_meant():
    a = np.array([[[[2.0]]]], "float32")
    assert distance(a, a + 0.1, True) == pytest.approx(0.05)
    assert distance(a - 2, a - 1.9, True) == pytest.approx(0.1)
    assert distance(0.25 * a, 0.25 * a + 0.1, False) == pytest.approx(0.1)
    assert distance(a, a + np.nan, True) == np.inf
    assert distance(a, np.concatenate([a, a], -1), True) == np.inf


def test_a_pixel_may_go_as_far_as_another_last_digit_takes_it():
    a = np.zeros((1, 1, 2, 2), "float32")
    moved, found = a.copy(), a.copy()
    moved[0, 0, 0], found[0, 0, 0] = 0.1, -0.3
    assert distance(a, found, False, [moved]) == 0
    found[0, 0, 1, 1] = 0.001
    assert distance(a, found, False, [moved]) == pytest.approx(0.001)
