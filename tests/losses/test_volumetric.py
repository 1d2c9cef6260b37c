import numpy as np
import pytest

from keras_wsseg import losses


def values(shares):
    """Images of two pixels, whose object has the given shares."""
    x = np.repeat(np.array(shares, "float64")[:, None, None], 2, axis=2)
    return np.full(x.shape, 255), np.stack([1 - x, x], axis=-1)


def test_the_mean_is_that_of_the_batch_and_smallness_that_of_each_image():
    labels, y = values([0.05, 0.10, 0.90, 0.35])
    loss = losses.VolumetricLoss(from_logits=False)
    assert float(loss(labels, y)) == pytest.approx(0.15**2 + 5 * (0.1**2 + 0.05**2), rel=1e-5)
    far = losses.VolumetricLoss(from_logits=False, target_fraction=0.35, small_weight=0.0)
    assert float(far(labels, y)) == pytest.approx(0, abs=1e-9)


def test_small_images_add_up_or_are_averaged():
    labels, y = values([0.05, 0.10, 0.90, 0.35])
    options = {"from_logits": False, "target_fraction": 0.35}
    total = float(losses.VolumetricLoss(small_reduction="sum", **options)(labels, y))
    mean = float(losses.VolumetricLoss(small_reduction="mean", **options)(labels, y))
    assert total == pytest.approx(5 * 0.0125, rel=1e-5) and mean == pytest.approx(total / 4, rel=1e-5)
    assert losses.VolumetricLoss().small_reduction == "sum"
    # Images that take no part do not weaken it: the mean is over the positive ones.
    labels, y = np.concatenate([labels, labels * 0, labels * 0 + 254]), np.concatenate([y, y, y])
    for reduction, want in (("sum", total), ("mean", mean)):
        loss = losses.VolumetricLoss(small_reduction=reduction, **options)
        assert float(loss(labels, y)) == pytest.approx(want, rel=1e-5)


def test_each_size_of_image_gives_the_same():
    _, y = values([0.05, 0.7])
    small = losses.VolumetricLoss(from_logits=False)(np.full((2, 1, 2), 255), y)
    large = losses.VolumetricLoss(from_logits=False)(np.full((2, 30, 40), 255), np.tile(y, (1, 15, 10, 1)))
    assert float(large) == pytest.approx(float(small), rel=1e-5)


def test_the_weight_of_smallness_can_be_annealed():
    labels, y = values([0.05, 0.7])
    loss = losses.VolumetricLoss(from_logits=False)
    loss.anneal("small_weight", 0.0)
    assert float(loss(labels, y)) == pytest.approx(0.125**2, rel=1e-5)
    assert loss.get_config()["small_weight"] == 5.0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"target_fraction": 1.5},
            "`target_fraction` must be a number from 0 to 1. Received: target_fraction=1.5",
        ),
        (
            {"target_fraction": "half"},
            "`target_fraction` must be a number from 0 to 1. Received: target_fraction='half'",
        ),
        ({"min_fraction": -0.1}, "`min_fraction` must be a number from 0 to 1. Received: min_fraction=-0.1"),
        (
            {"min_fraction": float("nan")},
            "`min_fraction` must be a number from 0 to 1. Received: min_fraction=nan",
        ),
        (
            {"small_weight": -5},
            "`small_weight` must be a number of at least 0. Received: small_weight=-5",
        ),
        (
            {"small_reduction": "max"},
            r"small_reduction must be one of \('sum', 'mean'\). Received: small_reduction='max'",
        ),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        losses.VolumetricLoss(**arguments)
