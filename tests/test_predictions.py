import keras
import numpy as np
import pytest

from keras_wsseg import metrics, predictions
from keras_wsseg.ops.class_scores import resized_class_logits

pytestmark = pytest.mark.any_backend

LOGITS = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
LABELS = np.random.default_rng(1).choice([0, 1, 2, 255], (2, 4, 5))


def one_channel(known):
    z = LOGITS[..., :1]
    return 1 / (1 + np.exp(-z)) if known else z


def test_a_metric_is_given_what_is_known_only():
    by_threshold = metrics.FBeta(3, object_class=2, threshold=0.3)
    by_threshold.update_state(LABELS, LOGITS)
    want = float(by_threshold.result())
    for from_logits in (True, False):
        for known, given in ((True, PROBABILITIES), (False, LOGITS)):
            metric = metrics.FBeta(3, object_class=2, threshold=0.3, from_logits=from_logits)
            with predictions.holding(known):
                metric.update_state(LABELS, given)
            assert float(metric.result()) == want > 0
    metric = metrics.MeanIoU(2)
    with pytest.raises(ValueError, match=r"must have shape \(batch, height, width, 2\)"):
        metric.update_state(LABELS, one_channel(True))
    for known in (True, False):
        metric.reset_state()
        with predictions.holding(known):
            metric.update_state(np.where(LABELS == 2, 1, LABELS), one_channel(known))
        assert metric.confusion_matrix[:, 1].sum() == (LOGITS[..., 0] > 0)[LABELS != 255].sum()


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_metric_sees_coarse_probabilities_as_a_deployed_file_gives_them(channels, from_logits):
    given = one_channel(True) if channels == 1 else PROBABILITIES
    size = (8, 10)
    file = keras.ops.softmax(resized_class_logits(given, size, probabilities=True))
    expected = keras.ops.convert_to_numpy(file)
    classes = expected.shape[-1]
    labels = np.random.default_rng(2).integers(0, classes, (2, *size))
    metric = metrics.FBeta(classes, object_class=1, threshold=0.4, from_logits=from_logits)
    with predictions.holding(True):
        metric.update_state(labels, given)
    assert metric.confusion_matrix[:, 1].sum() == (expected[..., 1] > 0.4).sum()


def test_what_was_known_is_forgotten():
    with predictions.holding(True):
        with predictions.holding(None):
            assert not predictions.is_known()
        assert predictions.is_known()
    assert not predictions.is_known()
