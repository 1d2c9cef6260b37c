import subprocess
import sys

import keras
import numpy as np
import pytest
import ways

from keras_wsseg import losses, targets
from keras_wsseg.visualization import loss_gradient, prediction_gradient

RED, YELLOW = (235, 40, 45), (255, 214, 10)

LOSSES = {
    "pce": losses.PartialCrossEntropy(class_weights=[1.0, 2.0, 0.5]),
    "gated": losses.GatedCRFLoss(radius=2, resolution=1.0),
    "dense": losses.DenseCRFLoss(sigma_xy=4, sigma_rgb=0.2, filter_method="exact"),
    "cut": losses.NormalizedCutLoss(sigma_xy=4, sigma_rgb=0.2, filter_method="exact"),
    "kernel cut": losses.KernelCutLoss(filter_method="exact"),
    "sum": losses.PartialCrossEntropy() + 0.5 * losses.GatedCRFLoss(radius=1, weight=2.0, resolution=1.0),
}


def scene(batch=1):
    random = np.random.default_rng(0)
    image = random.uniform(size=(batch, 5, 6, 3)).astype("float32")
    labels = random.choice([0, 1, 2, 255, 254], size=(batch, 5, 6))
    p = random.uniform(0.2, 1.0, size=(batch, 5, 6, 3)).astype("float32")
    return targets.pack(labels, image), p / p.sum(-1, keepdims=True)


def on_probabilities(loss):
    if isinstance(loss, losses.LossSum):
        return losses.LossSum([on_probabilities(term) for term in loss.terms], loss.factors)
    return type(loss).from_config({**loss.get_config(), "from_logits": False})


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_slope_of_the_loss_along_each_probability(name):
    y_true, y_pred = scene(batch=2)
    found = prediction_gradient(LOSSES[name], y_true, y_pred)
    assert found.shape == y_pred.shape and found.dtype == np.float32
    loss, random = on_probabilities(LOSSES[name]), np.random.default_rng(1)
    for _ in range(3):
        way = random.normal(size=y_pred.shape).astype("float32")
        ahead, behind = (float(loss(y_true, y_pred + step * way)) for step in (0.01, -0.01))
        np.testing.assert_allclose(np.sum(found * way), (ahead - behind) / 0.02, rtol=0.03, atol=2e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_through_a_softmax_it_is_the_gradient_that_a_training_follows(name):
    import tensorflow as tf

    y_true, y_pred = scene()
    logits = tf.constant(np.log(y_pred))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = LOSSES[name](y_true, logits)
    expected = tape.gradient(value, logits).numpy()
    found = prediction_gradient(LOSSES[name], y_true, y_pred)
    projected = y_pred * (found - np.sum(y_pred * found, axis=-1, keepdims=True))
    np.testing.assert_allclose(projected, expected, atol=1e-5)


def test_taking_logits_or_probabilities_is_all_the_same_and_the_loss_is_left_alone():
    y_true, y_pred = scene()
    loss = losses.GatedCRFLoss(radius=1, resolution=1.0)
    expected = prediction_gradient(
        losses.GatedCRFLoss(radius=1, resolution=1.0, from_logits=False), y_true, y_pred
    )
    np.testing.assert_array_equal(prediction_gradient(loss, y_true, y_pred), expected)
    assert loss.from_logits and np.abs(expected).max() > 0
    whole = losses.GatedCRFLoss(radius=1, resolution=1.0, reduction="none")
    np.testing.assert_array_equal(prediction_gradient(whole, y_true, y_pred), expected)


def test_a_loss_that_does_not_depend_on_the_prediction_has_none():
    y_true = targets.pack(np.full((1, 3, 3), 255), np.zeros((1, 3, 3, 1), "float32"))
    y_pred = np.full((1, 3, 3, 2), 0.5, "float32")
    assert not prediction_gradient(losses.PartialCrossEntropy(), y_true, y_pred).any()
    image = np.full((3, 3), 100, np.uint8)
    painted = loss_gradient(losses.PartialCrossEntropy(), image, None, y_pred[0])
    np.testing.assert_array_equal(painted, np.full((2, 3, 3, 3), 55))


@pytest.mark.any_backend
def test_backends_agree():
    random = np.random.default_rng(0)
    image, p = random.uniform(size=(1, 4, 5, 3)).astype("float32"), random.uniform(size=(1, 4, 5, 2))
    labels = random.choice([0, 1, 255], size=(1, 4, 5))
    loss = losses.PartialCrossEntropy() + losses.GatedCRFLoss(radius=2, resolution=1.0)
    found = prediction_gradient(loss, targets.pack(labels, image), p / p.sum(-1, keepdims=True))
    # As found on TensorFlow.
    np.testing.assert_allclose(
        ways.fingerprint(found), [0.9561444, 0.01840789, -0.1506437, 0.2901258], atol=1e-5
    )


def disk(margin):
    """A dark disk on a bright ground, and a certain mask of it that is `margin` pixels too wide."""
    rows, columns = np.mgrid[:31, :31]
    distance = np.hypot(rows - 15, columns - 15)
    image = np.where(distance <= 6, 40, 200).astype(np.uint8)
    mask = distance <= 6 + margin
    return image, distance, np.stack([~mask, mask], axis=-1).astype(np.float32)


def is_color(painted, color):
    """Where the paint is nearer to `color` than to the gray below it."""
    tint = painted.astype(int) - painted.min(axis=-1, keepdims=True)
    side = tint[..., 0] - tint[..., 1] > 30 if color == RED else tint[..., 1] - tint[..., 2] > 30
    return side & (np.abs(painted.astype(int) - color).max(-1) < 110)


def test_between_the_border_of_a_wide_mask_and_the_edge_of_the_thing_less_is_asked_for():
    image, distance, p = disk(margin=2)
    crf = losses.GatedCRFLoss(
        radius=6, kernels=losses.GaussianKernel(sigma_xy=6, sigma_rgb=0.1), resolution=1.0
    )
    band, inner, outer = (distance > 6) & (distance <= 8), distance <= 5, distance > 8
    more, less = (loss_gradient(crf, image, None, p, class_id=1, show="change") for _ in range(2))
    assert is_color(less, YELLOW)[band].mean() > 0.9
    assert not is_color(more, RED).any() and not is_color(less, YELLOW)[inner | outer].any()
    ground = loss_gradient(crf, image, None, p, class_id=0, show="change")
    assert is_color(ground, RED)[band].mean() > 0.9 and not is_color(ground, RED)[~band].any()


def test_a_whole_gradient_backs_the_inside_and_opposes_the_outside():
    image, distance, p = disk(margin=0)
    crf = losses.GatedCRFLoss(
        radius=3, kernels=losses.GaussianKernel(sigma_xy=6, sigma_rgb=0.1), resolution=1.0
    )
    painted = loss_gradient(crf, image, None, p, class_id=1, percentile=50)
    assert is_color(painted, RED)[distance <= 3].all()
    assert is_color(painted, YELLOW)[(distance > 9) & (distance < 13)].all()
    nothing = loss_gradient(crf, image, None, p, class_id=1, show="change")
    assert not np.ptp(nothing, axis=-1).any()


def test_one_image_a_class_with_colors_that_compare():
    image, _, p = disk(margin=2)
    crf = losses.GatedCRFLoss(radius=3, resolution=1.0)
    every = loss_gradient(crf, image, None, p, percentile=50)
    assert every.shape == (2, 31, 31, 3) and every.dtype == np.uint8
    for k in range(2):
        np.testing.assert_array_equal(every[k], loss_gradient(crf, image, None, p, k, percentile=50))
    # Of two classes one gains what the other loses.
    full = (every[0] == RED).all(-1)
    np.testing.assert_array_equal(full, (every[1] == YELLOW).all(-1))
    assert full.any() and not full.all()


def test_colors_by_hand():
    labels, p = np.array([[0, 1, 255]]), np.full((1, 3, 2), 0.5)
    loss = losses.PartialCrossEntropy(class_weights=[1.0, 0.5])
    image = np.full((1, 3), 100, np.uint8)
    # ∂R/∂S is -w / (1.5 · 0.5) at the label: centered ±0.667 and ±0.333.
    painted = loss_gradient(loss, image, labels, p, class_id=0, percentile=100)
    half = [round(55 + 0.5 * (c - 55)) for c in YELLOW]
    np.testing.assert_allclose(painted[0], [RED, half, (55, 55, 55)], atol=1)
    full = loss_gradient(loss, image, labels, p, class_id=0, limit=1 / 3)
    np.testing.assert_array_equal(full[0, :2], [RED, YELLOW])
    faint = loss_gradient(loss, image, labels, p, class_id=0, limit=1e6)
    np.testing.assert_array_equal(faint, np.full((1, 3, 3), 55))


def test_change_counts_what_a_class_can_still_gain_or_lose():
    labels = np.array([[0, 0, 0]])
    p = np.array([[[0.9, 0.1, 0.0], [0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]])
    scaled = [
        loss_gradient(
            losses.PartialCrossEntropy(), np.zeros((1, 3), np.uint8), labels, p, k, show="change", limit=3
        )
        for k in range(3)
    ]
    # d_0 = -1/(3 S_0) times 1 - S_0; d_1 = d_2 = 1/(3 S_0) times S_1 and S_2.
    more = np.minimum(1, (1 / 3) / p[0, :, 0] * (1 - p[0, :, 0]) / 3)
    np.testing.assert_allclose(scaled[0][0], more[:, None] * RED, atol=1)
    for k in (1, 2):
        less = (1 / 3) / p[0, :, 0] * p[0, :, k] / 3
        np.testing.assert_allclose(scaled[k][0], less[:, None] * YELLOW, atol=1)


def test_logits_on_a_coarser_grid_show_as_blocks():
    _, _, p = disk(margin=2)
    logits = np.log(np.clip(p, 0.05, 0.95))[::4, ::4]
    crf = losses.GatedCRFLoss(weight=0.03, radius=2)
    painted = loss_gradient(crf, np.zeros((32, 32), np.uint8), None, logits, 1, from_logits=True, limit=1.0)
    np.testing.assert_array_equal(painted, np.repeat(np.repeat(painted[::4, ::4], 4, axis=0), 4, axis=1))
    soft = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    direct = loss_gradient(crf, np.zeros((32, 32), np.uint8), None, soft, 1, limit=1.0)
    np.testing.assert_allclose(painted, direct, atol=1)
    assert np.ptp(painted, axis=-1).any()


def test_pixels_outside_the_image_take_no_part():
    image, _, p = disk(margin=2)
    labels = np.full(image.shape, 255)
    labels[:, :10] = 254
    painted = loss_gradient(losses.GatedCRFLoss(radius=3, resolution=1.0), image, labels, p, class_id=1)
    assert not np.ptp(painted[:, :10], axis=-1).any() and np.ptp(painted[:, 10:], axis=-1).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": "crf"}, TypeError, "`loss` must be a keras.losses.Loss. Received: loss='crf'$"),
        ({"loss": keras.losses.MeanSquaredError()}, ValueError, "`loss` must have from_logits"),
        ({"prediction": np.zeros((4, 4))}, ValueError, r"`prediction` must have shape .* shape=\(4, 4\)$"),
        ({"prediction": np.zeros((4, 4, 1))}, ValueError, r"two classes. Received: shape=\(4, 4, 1\)$"),
        ({"prediction": np.full((4, 4, 2), 3.0)}, ValueError, "class probabilities .* sums from 6 to 6$"),
        ({"prediction": np.full((4, 4, 2), np.nan)}, ValueError, "class probabilities .* from nan"),
        ({"class_id": 2}, ValueError, "`class_id` must be 0 to 1. Received: class_id=2$"),
        ({"show": "all"}, ValueError, r"`show` must be one of .* Received: show='all'$"),
        (
            {"percentile": 0},
            ValueError,
            "`percentile` must be a number above 0 and of at most 100. Received: percentile=0$",
        ),
        ({"limit": 0}, ValueError, "`limit` must be a number above 0. Received: limit=0$"),
        ({"labels": np.zeros((2, 4), int)}, ValueError, r"`labels` must have the height .* shape=\(2, 4\)$"),
        ({"labels": np.zeros((4, 4))}, TypeError, "`labels` must hold integers. Received: dtype=float64$"),
        ({"image": np.full((4, 4), 256)}, ValueError, r"must lie within value_range=\(0, 255\)"),
    ],
)
def test_bad_arguments(change, error, message):
    given = {
        "loss": losses.GatedCRFLoss(),
        "image": np.zeros((4, 4), np.uint8),
        "labels": None,
        "prediction": np.full((4, 4, 2), 0.5),
        **change,
    }
    with pytest.raises(error, match=message):
        loss_gradient(**given)


def test_a_prediction_must_be_a_batch():
    with pytest.raises(ValueError, match=r"`y_pred` must have shape .* Received: shape=\(4, 4, 2\)$"):
        prediction_gradient(losses.GatedCRFLoss(), np.zeros((1, 4, 4)), np.full((4, 4, 2), 0.5))


def test_other_images_need_no_keras():
    code = "import sys, keras_wsseg.visualization; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
