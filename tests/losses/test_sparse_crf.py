import numpy as np
import object_cases
import oracles
import pytest

from keras_wsseg import losses, targets


def test_value_with_half_the_resolution():
    """Pairs are those of the prediction's grid, colors the means of what a cell covers."""
    labels, images, _ = object_cases.batch((8, 10))
    coarse = np.random.default_rng(1).normal(size=(6, 4, 5, 4)).astype("float32")
    x = oracles.softmax(coarse.astype("float64"))[..., 2]
    want = object_cases.terms(labels, images, x, sigma_rgb=0.4)["sparse_crf"]
    loss = losses.SparseCRFLoss(sigma_rgb=0.4, object_class=2)
    assert float(loss(targets.pack(labels, images), coarse)) == pytest.approx(want, rel=1e-5)


def test_flipped_images_cost_the_same():
    labels, images, logits = object_cases.batch()
    loss = losses.SparseCRFLoss(object_class=2, sigma_rgb=0.3)
    want = float(loss(targets.pack(labels, images), logits))
    for axis in (1, 2):
        flipped = [np.flip(a, axis) for a in (labels, images, logits)]
        found = loss(targets.pack(*flipped[:2]), flipped[2])
        assert float(found) == pytest.approx(want, rel=1e-5)


def test_one_label_everywhere_costs_nothing():
    labels, images, _ = object_cases.batch()
    logits = np.tile(np.array([0.3, -1.0, 2.0, 0.0], "float32"), (6, 8, 10, 1))
    found = losses.SparseCRFLoss(object_class=2)(targets.pack(labels, images), logits)
    assert float(found) == pytest.approx(0, abs=1e-6)


def test_the_outline_where_the_colors_change_is_free():
    image = np.zeros((1, 9, 9, 3), "float32")
    image[:, 3:6, 3:6] = 1
    y_true = targets.pack(np.full((1, 9, 9), 255), image)

    def cost(x):
        return float(losses.SparseCRFLoss(from_logits=False)(y_true, np.stack([1 - x, x], axis=-1)))

    there, beside = np.zeros((1, 9, 9)), np.zeros((1, 9, 9))
    there[:, 3:6, 3:6] = beside[:, 2:5, 2:5] = 1
    assert cost(there) < 1e-6 < 0.05 < cost(beside)


def test_other_modalities_of_the_guide_are_not_compared():
    labels, images, logits = object_cases.batch()
    depth = np.random.default_rng(2).random((6, 8, 10, 1)).astype("float32")
    loss = losses.SparseCRFLoss(object_class=2)
    with targets.guide_layout(rgb=3, depth=1):
        found = loss(targets.pack(labels, np.concatenate([images, depth], axis=-1)), logits)
    assert float(found) == pytest.approx(float(loss(targets.pack(labels, images), logits)))
    with targets.guide_layout(depth=1), pytest.raises(ValueError, match="Received: no modality 'rgb'"):
        loss(targets.pack(labels, depth), logits)


def test_labels_alone_say_how_to_get_the_image():
    labels, _, logits = object_cases.batch()
    with pytest.raises(ValueError, match="y_true must contain the image: train with WeaklySupervisedModel"):
        losses.SparseCRFLoss()(labels, logits)


@pytest.mark.parametrize("sigma_rgb", (0, 0.0, -0.1, "wide", float("nan")))
def test_bad_sigma(sigma_rgb):
    with pytest.raises(
        ValueError, match=f"`sigma_rgb` must be a number above 0. Received: sigma_rgb={sigma_rgb!r}"
    ):
        losses.SparseCRFLoss(sigma_rgb=sigma_rgb)
    loss = losses.SparseCRFLoss()
    with pytest.raises(ValueError, match="`sigma_rgb` must be a number above 0. "):
        loss.anneal("sigma_rgb", sigma_rgb)
