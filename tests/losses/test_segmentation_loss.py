import numpy as np
import pytest

from keras_wsseg import losses

pytestmark = pytest.mark.any_backend

LOGITS = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
LABELS = np.random.default_rng(1).choice([0, 1, 2, 255], (2, 4, 5))


def value(labels, given, from_logits, known):
    loss = losses.PartialCrossEntropy(from_logits=from_logits)
    return np.mean(np.array(loss.energy_of(labels, given, known)))


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("known", [None, True, False])
def test_a_loss_gets_what_it_asks_for_whatever_is_held(known, from_logits):
    given = PROBABILITIES if (known or (known is None and not from_logits)) else LOGITS
    want = float(losses.PartialCrossEntropy()(LABELS, LOGITS))
    assert value(LABELS, given, from_logits, known) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("known", [None, True, False])
def test_one_channel_reaches_a_loss_as_two_classes(known, from_logits):
    labels = np.where(LABELS == 2, 1, LABELS)
    z = LOGITS[..., :1]
    want = float(losses.PartialCrossEntropy()(labels, np.concatenate([0 * z, z], -1)))
    holds = not from_logits if known is None else known
    given = 1 / (1 + np.exp(-z)) if holds else z
    assert value(labels, given, from_logits, known) == pytest.approx(want, rel=1e-5)


def test_a_subclass_must_say_what_it_computes():
    with pytest.raises(NotImplementedError, match="SegmentationLoss must implement energy"):
        losses.SegmentationLoss()(LABELS, LOGITS)
