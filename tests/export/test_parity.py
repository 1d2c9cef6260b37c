import numpy as np
import pytest

from keras_wsseg.export import parity
from keras_wsseg.export.deployment import Deployment
from keras_wsseg.layers import MeanFieldCRF


def compared(expected, probabilities, classes):
    reference = parity.Reference([None], [np.array(expected, "float32")], 1.0)
    outputs = [(np.array(probabilities, "float32"), np.array(classes))]
    return parity.compare(None, reference, outputs, outputs)


def test_differences_and_classes_are_counted():
    expected = [[[[0.6, 0.4], [0.3, 0.7]]]]
    found = compared(expected, [[[[0.5, 0.5], [0.3, 0.7]]]], [[[0, 0]]])
    assert found.largest == pytest.approx(0.1) and found.mean == pytest.approx(0.05)
    assert found.equal_classes == 0.5 and found.in_stages is None


def test_which_of_two_equal_classes_is_named_is_chance():
    expected = [[[[0.40001, 0.4, 0.2], [0.4001, 0.3995, 0.2]]]]
    assert compared(expected, expected, [[[1, 0]]]).equal_classes == 1
    assert compared(expected, expected, [[[2, 1]]]).equal_classes == 0
    assert compared(expected, expected, [[[255, 0]]]).equal_classes == 0.5


def test_calls_of_a_crf_are_counted_and_the_stages_compared(tiny_segmenter):
    image = np.random.default_rng(0).uniform(0, 255, (1, 9, 11, 3)).astype("float32")
    plain = Deployment(tiny_segmenter(stride=1), flip=True)
    assert parity.run_keras(plain, [image, image]).crf_calls == 0
    refined = Deployment(plain.segmenter, crf=MeanFieldCRF(radius=1))
    reference = parity.run_keras(refined, [image, image])
    assert reference.crf_calls == 1
    before = np.asarray(plain.segmenter(image))
    behind = np.asarray(refined.logits(image))
    right = [
        (probabilities, probabilities.argmax(-1), before, behind) for probabilities in reference.probabilities
    ]
    assert parity.compare(refined, reference, [one[:2] for one in right], right).in_stages < 1e-6
    wrong = [right[0], (*right[1][:2], before + 0.01 * np.abs(before).max(), behind)]
    assert parity.compare(refined, reference, [one[:2] for one in right], wrong).in_stages > 5e-3
