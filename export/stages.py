"""Compares a file with Keras stage by stage between its CRFs, each stage on the same inputs."""

import dataclasses

import numpy as np
from keras import ops

from keras_wsseg.export.crf_calls import intercepted

# Rounding error of float32 in the sums of a network or of a CRF, relative to the largest logit.
LAST_DIGITS = 1e-6
MAX_ATTEMPTS = 4
# How much farther than in these attempts a pixel may move: an attempt may perturb it in a direction that
# changes little.
SLACK = 4.0


@dataclasses.dataclass
class _Stages:
    """Runs Keras alongside a file: compares each CRF's logits, and continues with those of the file.

    Args:
        found: arrays of the file, before and after each call of a CRF, in order.
    """

    found: list
    largest: float = 0.0

    def answer(self, layer, own, logits, image):
        if len(self.found) < 2:
            self.largest = np.inf
            return own([logits, image])
        before, behind, *self.found = self.found
        self._compare(ops.convert_to_numpy(logits), before, layer.from_logits)
        expected = ops.convert_to_numpy(own([ops.convert_to_tensor(before, "float32"), image]))
        if before.shape == tuple(logits.shape):
            moved = [
                ops.convert_to_numpy(own([ops.convert_to_tensor(noisy), image]))
                for noisy in _with_other_last_digits(before, expected, layer.from_logits)
            ]
            self._compare(expected, behind, True, moved)
        return ops.convert_to_tensor(behind, "float32")

    def _compare(self, expected, found, are_logits, moved=()):
        self.largest = max(self.largest, distance(expected, found, are_logits, moved))


def largest_in_stages(deployment, image, probabilities, found):
    """The difference between a file and Keras, evaluated stage by stage.

    A CRF amplifies rounding: the last digit of a logit may decide a pixel, on one processor and not on
    another, so a limit on the final output is met or exceeded by chance. The stages before a CRF, between two
    and after the last do not amplify. They are compared directly; a CRF is compared with Keras's result on
    the logits that the file gave to its own CRF, apart from how far another last digit of these moves a pixel
    in Keras itself.

    Args:
        deployment: `Deployment`.
        image: `(batch, height, width, channels)`.
        probabilities: those of the file.
        found: arrays of the file, before and after each of its CRFs, see `crf_calls.stage_names`.

    Returns:
        The largest difference of a probability, or of a logit as a fraction of the largest one.
    """
    stages = _Stages(list(found))
    with intercepted(deployment, stages.answer):
        logits = deployment.logits(ops.convert_to_tensor(image, "float32"))
    if stages.found:
        return np.inf
    expected = softmax(ops.convert_to_numpy(logits))
    return max(stages.largest, _largest_difference(expected, probabilities))


def distance(expected, found, are_logits, moved=()):
    """The distance of logits from those expected, as probabilities and as a fraction of the largest logit.

    Both are needed: where one class dominates, probabilities do not distinguish a wrong CRF from a right one.

    Args:
        expected: `(batch, height, width, classes)`.
        found: the same shape.
        are_logits: whether they are logits rather than probabilities.
        moved: alternatives as valid as `expected`; the distance between them is added to what a pixel may
            differ by.

    Returns:
        The larger of the two.
    """
    if found.shape != expected.shape:
        return np.inf
    scale = max(1.0, float(np.abs(expected).max()))
    views = [lambda x: x / scale, *([softmax] if are_logits else [])]
    return max(_beyond(view(expected), view(found), [view(other) for other in moved]) for view in views)


def _largest_difference(expected, found):
    return np.inf if found.shape != expected.shape else _beyond(expected, found, ())


def softmax(logits):
    """Probabilities of logits, where one channel stands for two classes.

    Args:
        logits: array `(batch, height, width, classes)`.

    Returns:
        `(batch, height, width, max(classes, 2))`.
    """
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _beyond(expected, found, moved):
    difference = np.nan_to_num(np.abs(found - expected), nan=np.inf)
    if moved:
        # A pixel that changes class changes the probabilities of all its classes.
        yielding = np.max([np.abs(other - expected).max(-1, keepdims=True) for other in moved], axis=0)
        difference = difference - SLACK * yielding
    return max(0.0, float(difference.max()))


def _with_other_last_digits(before, behind, are_logits):
    generator = np.random.default_rng(0)
    # Each step of a CRF rounds numbers as large as its output.
    scale = max(1.0, float(np.abs(before).max()), float(np.abs(behind).max()))
    for _ in range(MAX_ATTEMPTS):
        noise = LAST_DIGITS * generator.standard_normal(before.shape).astype("float32")
        yield before + scale * noise if are_logits else before * (1 + noise)
