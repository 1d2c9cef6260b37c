import numpy as np
import pytest

from keras_wsseg.metrics import GroupedConfusion


@pytest.fixture
def volumes():
    rng = np.random.default_rng(0)
    return {
        name: (rng.choice([0, 1, 255], (slices, 5, 5)), rng.choice([0, 1, last], (slices, 5, 5)))
        for name, slices, last in (("a", 3, 2), ("b", 1, 0), ("c", 2, 0))
    }


def by_sets(volumes, score):
    rows = []
    for labels, prediction in volumes.values():
        valid = labels != 255
        pairs = [((labels == c) & valid, (prediction == c) & valid) for c in range(4)]
        rows.append([score(t, p) if (t | p).any() else np.nan for t, p in pairs])
    return np.array(rows)


def filled(volumes):
    scores = GroupedConfusion(4)
    for name, (labels, prediction) in volumes.items():
        for one_label, one_prediction in zip(labels, prediction, strict=True):
            scores.update(name, one_label.astype("uint8"), one_prediction)
    return scores


def test_dice_per_volume_and_its_mean(volumes):
    scores = filled(volumes)
    expected = by_sets(volumes, lambda t, p: 2 * (t & p).sum() / (t.sum() + p.sum()))
    np.testing.assert_allclose(scores.dice_per_group(), expected)
    # Class 2 occurs in one volume, as a false alarm; class 3 nowhere.
    np.testing.assert_allclose(scores.dice(), [*expected[:, :2].mean(0), 0.0, np.nan])
    assert scores.mean_dice() == pytest.approx(np.mean([expected[:, 1].mean(), 0.0]))
    assert scores.groups == ["a", "b", "c"]


def test_iou_per_volume_and_its_mean(volumes):
    scores = filled(volumes)
    expected = by_sets(volumes, lambda t, p: (t & p).sum() / (t | p).sum())
    np.testing.assert_allclose(scores.iou_per_group(), expected)
    np.testing.assert_allclose(scores.iou(), [*expected[:, :2].mean(0), 0.0, np.nan])
    assert scores.mean_iou() == pytest.approx(np.mean([*expected[:, :2].mean(0), 0.0]))


@pytest.mark.parametrize("beta", [0.0, 0.3**0.5, 2.0**0.5])
def test_f_measure_per_volume_and_its_mean(volumes, beta):
    def f_measure(true, found):
        hits = (true & found).sum()
        if hits == 0:
            return 0.0
        precision, recall = hits / found.sum(), hits / true.sum()
        return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)

    scores = filled(volumes)
    expected = by_sets(volumes, f_measure)
    np.testing.assert_allclose(scores.f_beta_per_group(beta), expected)
    np.testing.assert_allclose(scores.f_beta(beta), [*expected[:, :2].mean(0), 0.0, np.nan])


def test_f_measure_needs_a_weight():
    with pytest.raises(ValueError, match="at least 0. Received: beta=-1$"):
        GroupedConfusion(2).f_beta(-1)


def test_pooled_confusion_matrix(volumes):
    scores = filled(volumes)
    counted = sum((labels != 255).sum() for labels, _ in volumes.values())
    assert scores.confusion_matrix.sum() == counted
    labels, prediction = (np.concatenate([v[i].ravel() for v in volumes.values()]) for i in (0, 1))
    assert scores.confusion_matrix[1, 2] == ((labels == 1) & (prediction == 2)).sum()


def test_reserved_labels_take_no_part():
    scores = GroupedConfusion(2)
    scores.update("a", np.array([254, 255, 1]), np.array([1, 99, 1]))
    assert scores.confusion_matrix.tolist() == [[0, 0], [0, 1]]


def test_nothing_seen():
    scores = GroupedConfusion(3)
    assert scores.dice_per_group().shape == (0, 3)
    assert np.isnan(scores.dice()).all()
    assert scores.mean_dice() == 0.0 and scores.mean_iou() == 0.0


@pytest.mark.parametrize(
    ("labels", "prediction", "error", "message"),
    [
        (
            np.zeros(2),
            np.zeros(2, int),
            TypeError,
            "`labels` must be an integer array. Received: dtype=float64$",
        ),
        (np.zeros(2, int), np.zeros(2), TypeError, "`prediction` must be an integer array"),
        (
            np.zeros(2, int),
            np.zeros(3, int),
            ValueError,
            r"Received: labels.shape=\(2,\), prediction.shape=\(3,\)$",
        ),
        (
            np.array([7]),
            np.array([0]),
            ValueError,
            "`labels` must hold class ids from 0 to 1. Received: 7 in group 'a'$",
        ),
        (np.array([0]), np.array([-1]), ValueError, "`prediction` must hold .* Received: -1 in group 'a'$"),
    ],
)
def test_bad_input(labels, prediction, error, message):
    with pytest.raises(error, match=message):
        GroupedConfusion(2).update("a", labels, prediction)
