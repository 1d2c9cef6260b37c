import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

from keras_wsseg import losses, targets


def batch(size=(12, 8), classes=3, seed=0, guide_channels=3):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 254, 255], size=(2, *size), p=[0.1, 0.1, 0.1, 0.2, 0.5])
    guide = rng.random((2, *size, guide_channels)).astype("float32")
    logits = rng.normal(size=(2, *size, classes)).astype("float32")
    return labels, guide, logits


def positions(size):
    return np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1).astype("float64")


def by_hand(labels, guide, y, radius, xy, rgb, source=None, destination=None, mass=False):
    valid = (labels != 254).astype("float64")
    source = valid if source is None else source
    destination = source if destination is None else destination
    features = [np.concatenate([positions(labels.shape[1:]) / xy, g / rgb], -1) for g in guide]
    parts = [
        oracles.gated_crf(y[i], [features[i]], radius, [1.0], source[i], destination[i])
        for i in range(len(y))
    ]
    return sum(p[0] for p in parts) / (sum(p[1] for p in parts) if mass else destination.sum())


def test_value_is_the_energy_over_the_receiving_pixels_of_the_batch():
    labels, guide, logits = batch()
    kernel = losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4)
    loss = losses.GatedCRFLoss(weight=0.5, radius=2, kernels=kernel, resolution=1.0)
    want = by_hand(labels, guide, oracles.softmax(logits), 2, 3, 0.4)
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), logits)), 0.5 * want, rtol=1e-5)


def test_gates():
    labels, guide, logits = batch()
    y, packed = oracles.softmax(logits), targets.pack(labels, guide)
    ones, unlabeled = np.ones(labels.shape), (labels == 255).astype("float64")
    valid = (labels != 254).astype("float64")
    for (source, destination), masks in {
        (True, False): (valid, valid),
        (True, True): (valid, unlabeled),
        (False, False): (ones, ones),
        (False, True): (ones, ((labels == 255) | (labels == 254)).astype("float64")),
    }.items():
        loss = losses.GatedCRFLoss(
            weight=1, radius=2, kernels=losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4),
            gate_source=source, gate_destination=destination, resolution=1.0,
        )  # fmt: skip
        want = by_hand(labels, guide, y, 2, 3, 0.4, *masks)
        np.testing.assert_allclose(float(loss(packed, logits)), want, rtol=1e-5)


def test_padding_receives_and_counts_as_published():
    labels, guide, logits = batch()
    valid, ones = (labels != 254).astype("float64"), np.ones(labels.shape)
    kernel = losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4)
    loss = losses.GatedCRFLoss.published(weight=1, radius=2, kernels=kernel, resolution=1.0)
    want = by_hand(labels, guide, oracles.softmax(logits), 2, 3, 0.4, valid, ones)
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), logits)), want, rtol=1e-5)


def test_kernel_mass_bounds_the_energy_whatever_window_and_image():
    labels, guide, logits = batch()
    make = {
        "weight": 1,
        "normalization": "kernel_mass",
        "resolution": 1.0,
        "kernels": losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4),
    }
    want = by_hand(labels, guide, oracles.softmax(logits), 3, 3, 0.4, mass=True)
    np.testing.assert_allclose(
        float(losses.GatedCRFLoss(radius=3, **make)(targets.pack(labels, guide), logits)), want, rtol=1e-5
    )
    flat = targets.pack(labels, np.zeros_like(guide))
    for radius in (1, 3, 20):
        assert 0 < float(losses.GatedCRFLoss(radius=radius, **make)(flat, logits)) < 1


def test_guide_and_masks_come_to_a_coarser_grid_by_area():
    labels, guide, _ = batch((12, 8))
    coarse = np.random.default_rng(1).normal(size=(2, 6, 4, 3)).astype("float32")
    small = guide.reshape(2, 6, 2, 4, 2, 3).mean((2, 4))
    whole = (labels != 254).reshape(2, 6, 2, 4, 2).all((2, 4)).astype("float64")
    # Three cells are six pixels of the image.
    kernel = losses.GaussianKernel(sigma_xy=6, sigma_rgb=0.4)
    loss = losses.GatedCRFLoss(weight=1, radius=2, kernels=kernel, resolution=1.0)
    want = by_hand(np.zeros((2, 6, 4)), small, oracles.softmax(coarse), 2, 3, 0.4, whole)
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), coarse)), want, rtol=1e-5)
    fine = np.repeat(np.repeat(coarse, 2, 1), 2, 2)
    loss.resolution = 0.5
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), fine)), want, rtol=1e-5)


def test_more_modalities():
    labels, guide, logits = batch(guide_channels=4)
    kernels = [
        losses.GaussianKernel(sigma_xy=2, sigma_depth=0.3),
        losses.GaussianKernel(weight=0.5, sigma_rgb=0.2),
    ]
    loss = losses.GatedCRFLoss(weight=1, radius=1, kernels=kernels, resolution=1.0)
    with targets.guide_layout(rgb=3, depth=1):
        value = float(loss(targets.pack(labels, guide), logits))
    valid = (labels != 254).astype("float64")
    total = 0.0
    for i in range(2):
        first = np.concatenate([positions((12, 8)) / 2, guide[i, ..., 3:] / 0.3], -1)
        features = [first, guide[i, ..., :3] / 0.2]
        total += oracles.gated_crf(oracles.softmax(logits)[i], features, 1, [1, 0.5], valid[i], valid[i])[0]
    np.testing.assert_allclose(value, total / valid.sum(), rtol=1e-5)


def test_probabilities_instead_of_logits_and_general_compatibility():
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    matrix = 3.0 * (1 - np.eye(3))
    potts = float(losses.GatedCRFLoss(radius=2)(packed, logits))
    same = losses.GatedCRFLoss(radius=2, from_logits=False, compatibility=matrix)(
        packed, oracles.softmax(logits)
    )
    np.testing.assert_allclose(float(same), 3 * potts, rtol=5e-5)


@pytest.mark.parametrize("resolution", (1.0, 0.5))
@pytest.mark.parametrize("normalization", ("destination", "kernel_mass"))
@pytest.mark.parametrize(
    ("size", "classes", "fill"), [((6, 5), 3, 254), ((6, 5), 3, 255), ((6, 5), 1, 255), ((1, 5), 2, 0)]
)
def test_degenerate_batches_are_finite(size, classes, fill, normalization, resolution):
    labels = np.full((2, *size), fill)
    packed = targets.pack(labels, np.zeros((2, *size, 1), "float32"))
    logits = tf.zeros((2, *size, classes))
    loss = losses.GatedCRFLoss(gate_destination=True, normalization=normalization, resolution=resolution)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(packed, logits)
    assert np.isfinite(value) and np.isfinite(tape.gradient(value, logits)).all()
    if fill != 255:
        assert float(value) == 0


def test_gradient_of_the_loss_by_finite_differences():
    labels, guide, logits = batch((4, 5))
    loss = losses.GatedCRFLoss(
        radius=2,
        gate_destination=True,
        kernels=losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4),
        resolution=1.0,
    )
    valid, unlabeled = (labels != 254).astype("float64"), (labels == 255).astype("float64")

    def value(z):
        return 0.01 * by_hand(labels, guide, oracles.softmax(z), 2, 3, 0.4, valid, unlabeled)

    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = loss(targets.pack(labels, guide), x)
    want = oracles.numeric_gradient(value, logits.astype("float64"))
    np.testing.assert_allclose(tape.gradient(result, x), want, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float32"))
def test_dtype_reduction_and_sample_weight(dtype):
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    plain = losses.GatedCRFLoss(radius=2, kernels=losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4))
    value = float(plain(packed, logits))
    loss = losses.GatedCRFLoss(
        radius=2, kernels=losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4), dtype=dtype
    )
    np.testing.assert_allclose(float(loss(packed, logits)), value, rtol=0.02 if dtype != "float32" else 1e-6)
    each = np.array(
        losses.GatedCRFLoss(
            radius=2, kernels=losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4), reduction="none"
        )(packed, logits)
    )
    np.testing.assert_allclose(each.mean(), value, rtol=1e-5)
    weighted = float(plain(packed, logits, sample_weight=np.array([2.0, 0.0])))
    np.testing.assert_allclose(weighted, each[0], rtol=1e-5)


def test_config_round_trip():
    loss = losses.GatedCRFLoss(
        weight=0.3, radius=3,
        kernels=[losses.GaussianKernel(0.5, sigma_xy=4, sigma_rgb=0.1), losses.GaussianKernel(sigma_depth=2)],
        compatibility=[[0, 1], [2, 0]], gate_source=False, gate_destination=True, gate_padding=False,
        normalization="kernel_mass", resolution=0.25, from_logits=False, filter_method="patches",
        reduction="sum", name="crf", dtype="bfloat16",
    )  # fmt: skip
    loss.anneal("weight", 0.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert again.weight == pytest.approx(0.3) and again.kernels[1].modalities == ("depth",)
    assert (again.dtype, again.reduction, again.name) == ("bfloat16", "sum", "crf")


def test_published_setting():
    loss = losses.GatedCRFLoss.published()
    assert (loss.radius, loss.weight, loss.resolution) == (5, pytest.approx(0.1), 0.25)
    # 6 cells of a grid at a quarter of the image.
    assert loss.sigma_xy == 24 and 0.0225 <= loss.sigma_rgb <= 0.027
    kernel = losses.GaussianKernel(sigma_xy=9)
    assert losses.GatedCRFLoss.published(kernels=kernel).kernels == [kernel]
    assert not loss.gate_padding and losses.GatedCRFLoss.published(resolution=1.0).resolution == 1


def test_default_setting():
    loss = losses.GatedCRFLoss()
    assert (loss.radius, loss.resolution) == (5, 0.5)
    assert (loss.sigma_xy, loss.sigma_rgb, loss.kernels) == (12, pytest.approx(0.03), None)


def test_two_sigmas_are_one_kernel_and_can_be_annealed_alike():
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    loss = losses.GatedCRFLoss(radius=2, sigma_xy=3, sigma_rgb=0.4)
    kernel = losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.4)
    by_kernel = losses.GatedCRFLoss(radius=2, kernels=kernel)
    assert float(loss(packed, logits)) == pytest.approx(float(by_kernel(packed, logits)), rel=1e-6)
    for one in (loss, kernel):
        one.anneal("sigma_rgb", 0.1)
    annealed = float(loss(packed, logits))
    assert annealed == pytest.approx(float(by_kernel(packed, logits)), rel=1e-6)
    assert annealed != pytest.approx(
        float(losses.GatedCRFLoss(radius=2, sigma_xy=3, sigma_rgb=0.4)(packed, logits))
    )
    assert loss.get_config()["sigma_rgb"] == pytest.approx(0.4)
    again = losses.GatedCRFLoss.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"weight": -1}, "`weight` must be a number of at least 0. Received: weight=-1"),
        ({"weight": "much"}, "`weight` must be a number of at least 0. Received: weight='much'"),
        ({"radius": 0}, "`radius` must be an integer of at least 1. Received: radius=0"),
        ({"normalization": "sum"}, "normalization must be one of .* Received: normalization='sum'"),
        ({"resolution": 0}, "`resolution` must be a number above 0 and of at most 1. Received: resolution=0"),
        ({"resolution": 2}, "`resolution` must be a number above 0 and of at most 1. Received: resolution=2"),
        ({"filter_method": "loop"}, "filter_method must be one of .* Received: filter_method='loop'"),
        (
            {"kernels": []},
            r"kernels must be a GaussianKernel or a non-empty list of GaussianKernel. Received: kernels=\[\]",
        ),
        ({"sigma_rgb": 0}, "`sigma_rgb` must be a number of at least 0.0001. Received: sigma_rgb=0"),
        (
            {"sigma_xy": 3, "kernels": losses.GaussianKernel(sigma_xy=3)},
            "sigma_xy and sigma_rgb have no effect with kernels.* Received: sigma_xy=3",
        ),
        ({"compatibility": [[1.0]]}, "compatibility must be non-negative with a zero diagonal"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        losses.GatedCRFLoss(**arguments)


def test_a_kernel_without_its_modality_says_how_to_get_it():
    labels, _, logits = batch()
    with pytest.raises(ValueError, match="the kernel compares 'rgb', so y_true must contain it: train with"):
        losses.GatedCRFLoss()(labels, logits)
    value = losses.GatedCRFLoss(kernels=losses.GaussianKernel(sigma_xy=3))(labels, logits)
    assert float(value) > 0
