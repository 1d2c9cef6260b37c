"""Compares a file with Keras piece by piece between its CRFs, each piece fed with the same numbers."""

import dataclasses

import numpy as np
from keras import ops

from keras_wsseg.export.crf_calls import intercepted

# Last digits of float32 as the sums of a network or of a CRF leave them, relative to the largest logit.
LAST_DIGITS = 1e-6
MAX_ATTEMPTS = 4
# How much farther than in these tries a pixel may move: a try may push it the way that it hardly yields.
SLACK = 4.0


@dataclasses.dataclass
class _Stages:
    """Follows a file through Keras: compares each CRF's logits, and goes on with those of the file.

    Args:
        found: arrays of the file, before and behind each call of a CRF in their order.
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
    """How far a file is from Keras where every piece of it is judged by itself.

    A CRF makes much of little: the last digit of a logit may decide a pixel, on one processor and not on
    another, so a limit on what comes out of the whole is kept or exceeded by chance. The pieces that lead to
    a CRF, from one to the next and from the last one on do not amplify. They are held to each other, and a
    CRF to what Keras makes of the very logits that the file gave to its own, save for what another last digit
    of these makes of a pixel in Keras itself.

    Args:
        deployment: `Deployment`.
        image: `(batch, height, width, channels)`.
        probabilities: what the file says.
        found: arrays of the file, before and behind each of its CRFs, see `crf_calls.stage_names`.

    Returns:
        The largest difference of a probability, or of a logit as a share of the largest one.
    """
    stages = _Stages(list(found))
    with intercepted(deployment, stages.answer):
        logits = deployment.logits(ops.convert_to_tensor(image, "float32"))
    if stages.found:
        return np.inf
    expected = softmax(ops.convert_to_numpy(logits))
    return max(stages.largest, _largest_difference(expected, probabilities))


def distance(expected, found, are_logits, moved=()):
    """How far logits are from those expected, as probabilities and as a share of the largest logit.

    Both count: where one class has won, probabilities no longer tell a wrong CRF from a right one.

    Args:
        expected: `(batch, height, width, classes)`.
        found: the same shape.
        are_logits: whether they are logits rather than probabilities.
        moved: what is as good as `expected`; a pixel may be farther by what they are apart.

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
    """Probabilities of logits, one channel standing for two classes.

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
        # A pixel that tips takes all its classes with it.
        yielding = np.max([np.abs(other - expected).max(-1, keepdims=True) for other in moved], axis=0)
        difference = difference - SLACK * yielding
    return max(0.0, float(difference.max()))


def _with_other_last_digits(before, behind, are_logits):
    generator = np.random.default_rng(0)
    # Each step of a CRF rounds numbers as large as those that come out of it.
    scale = max(1.0, float(np.abs(before).max()), float(np.abs(behind).max()))
    for _ in range(MAX_ATTEMPTS):
        noise = LAST_DIGITS * generator.standard_normal(before.shape).astype("float32")
        yield before + scale * noise if are_logits else before * (1 + noise)
