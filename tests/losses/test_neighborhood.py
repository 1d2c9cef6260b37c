import keras
import numpy as np
import oracles
import pytest
import tag_oracles
import tensorflow as tf

from keras_wsseg import WeaklySupervisedModel, callbacks, losses, targets

KERNELS = [(2.0, 9.0, 0.4), (0.7, 3.0, None)]
VARIANTS = {
    "exponentiated": {},
    "sharp": {"sharpness": 4.0},
    "unnormalized": {"normalized": False, "sharpness": 0.3},
    "mean": {"variant": "mean"},
}


def batch(size=(12, 8), coarse=1, classes=3, seed=0):
    """Labels, with pixels outside in a corner and elsewhere, a guide, and logits `coarse` times smaller."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 254, 255], size=(2, *size), p=[0.1, 0.1, 0.1, 0.03, 0.67])
    labels[0, : size[0] // 2, : size[1] // 4] = 254
    guide = rng.random((2, *size, 3)).astype("float32")
    logits = 2 * rng.normal(size=(2, size[0] // coarse, size[1] // coarse, classes))
    return labels, guide, logits.astype("float32")


def made(**settings):
    kernels = [losses.GaussianKernel(weight, sigma_xy=xy, sigma_rgb=rgb) for weight, xy, rgb in KERNELS]
    return losses.NeighborhoodLoss(**{"weight": 1.0, "kernels": kernels, **settings})


def by_hand(labels, guide, logits, radius=None, received=None, **options):
    """The loss from its formula, `received` the logits that p^neighb is made of."""
    _, height, width, classes = logits.shape
    steps = labels.shape[1] // height, labels.shape[2] // width
    blocks = (2, height, steps[0], width, steps[1])
    guide = guide.astype("float64").reshape(*blocks, 3).mean(axis=(2, 4))
    inside = (labels != 254).reshape(blocks).all(axis=(2, 4))
    total = count = 0
    for i in range(2):
        matrix = tag_oracles.neighbor_kernel(guide[i], KERNELS, steps, radius, inside[i])
        p, other = (
            None if x is None else oracles.softmax(x[i].reshape(-1, classes).astype("float64"))
            for x in (logits, received)
        )
        divergence, pixels = tag_oracles.neighborhood(p, matrix, inside[i].ravel(), other, **options)
        total, count = total + divergence, count + pixels
    return total / count


@pytest.mark.parametrize("coarse", (1, 2, 4))
@pytest.mark.parametrize("radius", (None, 1))
@pytest.mark.parametrize("name", VARIANTS)
def test_value_is_the_mean_divergence_over_the_pixels_inside(name, radius, coarse):
    """On the grid of the prediction, to which the image is averaged and the kernels shrink."""
    labels, guide, logits = batch((8, 12), coarse)
    loss = made(weight=0.5, radius=radius, **VARIANTS[name])
    want = 0.5 * by_hand(labels, guide, logits, radius, **VARIANTS[name])
    assert want > 0
    np.testing.assert_allclose(float(loss(targets.pack(labels, guide), logits)), want, rtol=1e-4)


@pytest.mark.parametrize("through", (True, False))
@pytest.mark.parametrize("radius", (None, 1))
@pytest.mark.parametrize("name", ("exponentiated", "unnormalized", "mean"))
def test_gradient_by_finite_differences(name, radius, through):
    labels, guide, logits = batch((8, 6), 2)
    loss = made(radius=radius, through_neighbors=through, **VARIANTS[name])
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(targets.pack(labels, guide), x)
    fixed = None if through else logits.astype("float64")
    want = oracles.numeric_gradient(
        lambda z: by_hand(labels, guide, z, radius, received=fixed, **VARIANTS[name]),
        logits.astype("float64"),
    )
    np.testing.assert_allclose(tape.gradient(value, x), want, rtol=1e-3, atol=1e-5)


def test_the_value_does_not_depend_on_where_gradients_flow():
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    assert float(made()(packed, logits)) == float(made(through_neighbors=False)(packed, logits))


def test_one_setting_serves_every_resolution():
    """The same scene, its image at twice the size with widths doubled, and predictions on one grid."""
    labels, guide, logits = batch(coarse=2)

    def twice(x):
        return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)

    small = made()(targets.pack(labels, guide), logits)
    loss = made()
    for kernel in loss.kernels:
        kernel.sigma_xy = 2 * kernel.sigma_xy
    large = loss(targets.pack(twice(labels), twice(guide)), logits)
    np.testing.assert_allclose(large, small, rtol=1e-4)


def test_grids_that_do_not_divide_the_image():
    """Rows and columns then shrink by different factors: flat colors leave the position alone."""
    labels, guide = np.full((1, 10, 9), 255), np.zeros((1, 10, 9, 3), "float32")
    logits = np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype("float32")
    matrix = tag_oracles.neighbor_kernel(np.zeros((4, 5, 3)), KERNELS, (10 / 4, 9 / 5))
    total, count = tag_oracles.neighborhood(oracles.softmax(logits.reshape(20, 2)), matrix, np.ones(20))
    for radius in (None, 5):
        found = made(radius=radius)(targets.pack(labels, guide), logits)
        np.testing.assert_allclose(found, total / count, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_window_over_the_image_and_approximations_agree_with_exact_sums(name):
    labels, guide, logits = batch((16, 12))
    packed = targets.pack(labels, guide)
    exact = float(made(filter_method="exact", **VARIANTS[name])(packed, logits))
    np.testing.assert_allclose(made(radius=16, **VARIANTS[name])(packed, logits), exact, rtol=1e-4)
    for filter_method, tolerance in (("nystrom", 0.02), ("permutohedral", 0.1)):
        found = made(filter_method=filter_method, landmarks=150, **VARIANTS[name])(packed, logits)
        np.testing.assert_allclose(found, exact, rtol=tolerance)


@pytest.mark.parametrize("radius", (None, 3))
def test_a_mean_field_fixed_point_costs_nothing(radius):
    guide = np.zeros((1, 4, 4, 3), "float32")
    guide[:, :, 2:] = 1
    matrix = tag_oracles.neighbor_kernel(guide[0], [(1.0, 5.0, 0.2)])
    sides = (guide[0, ..., 0] > 0).astype(int).ravel()
    q = tag_oracles.mean_field_fixed_point(matrix, oracles.softmax(3 * np.eye(2)[sides]))
    assert (q.argmax(axis=1) == sides).all() and q.max() > 0.9
    logits = np.log(q).reshape(1, 4, 4, 2).astype("float32")
    packed = targets.pack(np.full((1, 4, 4), 255), guide)
    settings = {"weight": 1.0, "kernels": losses.GaussianKernel(sigma_xy=5, sigma_rgb=0.2), "radius": radius}
    assert abs(float(losses.NeighborhoodLoss(normalized=False, **settings)(packed, logits))) < 1e-6
    assert float(losses.NeighborhoodLoss(**settings)(packed, logits)) > 0.1


@pytest.mark.parametrize("radius", (None, 3))
def test_pixels_outside_neither_give_nor_receive(radius):
    labels, guide, logits = batch()
    outside = (labels == 254)[..., None]
    value = float(made(radius=radius)(targets.pack(labels, guide), logits))
    changed = np.where(outside, logits + 5 * np.arange(3), logits).astype("float32")
    painted = targets.pack(labels, np.where(outside, 0.0, guide))
    x = tf.constant(changed)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = made(radius=radius)(painted, x)
    np.testing.assert_allclose(found, value, rtol=1e-4)
    slope = np.abs(tape.gradient(found, x))
    assert not slope[outside[..., 0]].any() and slope[~outside[..., 0]].all(axis=-1).mean() > 0.9


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    ("size", "classes", "fill"), [((6, 5), 3, 254), ((6, 5), 3, 255), ((1, 5), 2, 0), ((1, 1), 2, 255)]
)
def test_degenerate_batches_are_finite(name, size, classes, fill):
    packed = targets.pack(np.full((2, *size), fill), np.zeros((2, *size, 3), "float32"))
    for radius in (None, 2):
        for logits in (
            tf.zeros((2, *size, classes)),
            tf.constant(1e4 * np.eye(classes)[np.zeros((2, *size), int)]),
        ):
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = made(radius=radius, **VARIANTS[name])(packed, logits)
            assert np.isfinite(value) and np.isfinite(tape.gradient(value, logits)).all()
            if fill == 254 or size == (1, 1):
                assert float(value) == 0


def test_penalty_is_never_negative_and_zero_where_all_agree():
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    agreed = np.broadcast_to(logits[:, :1, :1], logits.shape)
    for settings in ({"variant": "mean"}, {"variant": "mean", "filter_method": "nystrom", "landmarks": 30}):
        assert float(made(**settings)(packed, logits)) > 0.01
        assert abs(float(made(**settings)(packed, agreed))) < 1e-4


def test_probabilities_half_precision_reduction_and_sample_weight():
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    value = float(made()(packed, logits))
    np.testing.assert_allclose(made(from_logits=False)(packed, oracles.softmax(logits)), value, rtol=1e-4)
    half = made(dtype="float16")(packed, logits.astype("float16"))
    np.testing.assert_allclose(float(half), value, rtol=0.02)
    each = np.array(made(reduction="none")(packed, logits))
    np.testing.assert_allclose(each.mean(), value, rtol=1e-5)
    weighted = made()(packed, logits, sample_weight=np.array([2.0, 0.0]))
    np.testing.assert_allclose(weighted, each[0], rtol=1e-5)


def test_more_modalities():
    labels, guide, logits = batch()
    depth = np.random.default_rng(1).random((2, 12, 8, 1)).astype("float32")
    loss = losses.NeighborhoodLoss(kernels=losses.GaussianKernel(sigma_xy=5, sigma_depth=0.3))
    with targets.guide_layout(rgb=3, depth=1):
        value = float(loss(targets.pack(labels, np.concatenate([guide, depth], -1)), logits))
    same = losses.NeighborhoodLoss(kernels=losses.GaussianKernel(sigma_xy=5, sigma_rgb=0.3))
    np.testing.assert_allclose(value, float(same(targets.pack(labels, depth), logits)), rtol=1e-5)


def test_default_kernels_are_those_of_the_dense_crf():
    first, second = losses.NeighborhoodLoss().kernels
    assert (first.weight, first.sigma_xy, round(255 * first.sigma_rgb, 4)) == (10, 80, 13)
    assert (second.weight, second.sigma_xy, second.modalities) == (3, 3, ("xy",))


def test_config_round_trip():
    loss = losses.NeighborhoodLoss(
        weight=0.2, sharpness=6, normalized=False,
        kernels=losses.GaussianKernel(2, sigma_xy=9, sigma_depth=0.1),
        radius=4, through_neighbors=False, landmarks=64, seed=5, from_logits=False, reduction="sum",
        name="other", dtype="bfloat16",
    )  # fmt: skip
    loss.anneal("sharpness", 99)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.sharpness, again.radius, again.dtype, again.through_neighbors) == (6, 4, "bfloat16", False)
    assert again.kernels[0].modalities == ("xy", "depth")
    mean = losses.NeighborhoodLoss(variant="mean", filter_method="nystrom")
    again = losses.NeighborhoodLoss.from_config(mean.get_config())
    assert again.get_config() == mean.get_config() and again.variant == "mean" and len(again.kernels) == 2


def test_fit_save_and_load(tmp_path):
    """Compiled by XLA at a quarter of the size; weight, sharpness and a kernel's width are annealed."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    labels = np.where(rng.random((4, 16, 16)) < 0.1, (images[..., 0] > 128).astype(int), 255)
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255)])
    net.add(keras.layers.Conv2D(2, 3, strides=4, padding="same"))
    loss = losses.NeighborhoodLoss(weight=0.5)
    model = WeaklySupervisedModel(net)
    model.compile("adam", loss=losses.PartialCrossEntropy() + loss, jit_compile=True)
    steps = [
        callbacks.WarmUp(loss, delay_steps=1),
        callbacks.ParameterScheduler(loss, "sharpness", lambda epoch: 1.0 + epoch),
        callbacks.ParameterScheduler(loss.kernels[0], "sigma_rgb", lambda epoch: 0.1 + 0.1 * epoch),
    ]
    history = model.fit(images, labels, batch_size=2, epochs=2, callbacks=steps, verbose=0).history
    assert history["neighborhood_sharpness"] == pytest.approx([1, 2])
    assert np.isfinite([*history.values()]).all() and history["neighborhood"][0] > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    again.run_eagerly = True
    again.fit(images, labels, batch_size=2, epochs=1, verbose=0)


def test_annealed_numbers_reach_a_compiled_step():
    labels, guide, logits = batch()
    packed, loss = targets.pack(labels, guide), made()
    step = tf.function(lambda x: loss(packed, x), jit_compile=True)
    before = float(step(tf.constant(logits)))
    loss.anneal("sharpness", 5.0)
    loss.kernels[0].anneal("sigma_xy", 2.0)
    sharp = made(sharpness=5.0)
    sharp.kernels[0].sigma_xy = 2.0
    want = float(sharp(packed, logits))
    assert abs(want - before) > 0.01
    np.testing.assert_allclose(step(tf.constant(logits)), want, rtol=1e-4)
    assert len(loss.annealed_variables) == 2 + 3 + 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"weight": -1}, "`weight` must be a number of at least 0. Received: weight=-1"),
        (
            {"sharpness": "much"},
            "`sharpness` must be a number of at least 0. Received: sharpness='much'",
        ),
        (
            {"variant": "mean", "sharpness": 2},
            "sharpness must be 1 if variant='mean'.* Received: sharpness=2.0",
        ),
        (
            {"variant": "mean", "normalized": False},
            "normalized must be True if variant='mean'.*normalized=False",
        ),
        ({"variant": "sum"}, "variant must be one of .* Received: variant='sum'"),
        ({"radius": 0}, "`radius` must be an integer of at least 1. Received: radius=0"),
        (
            {"radius": 2, "filter_method": "nystrom"},
            "filter_method must be 'auto' if a radius is given.*'nystrom'",
        ),
        ({"filter_method": "tiles"}, "filter_method must be one of .* Received: filter_method='tiles'"),
        ({"landmarks": 0}, "`landmarks` must be an integer of at least 1. Received: landmarks=0"),
        ({"seed": 1.5}, "`seed` must be an integer. Received: seed=1.5"),
        (
            {"kernels": []},
            r"kernels must be a GaussianKernel or a non-empty list of GaussianKernel. Received: kernels=\[\]",
        ),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        losses.NeighborhoodLoss(**arguments)


def test_a_mean_cannot_be_sharpened_later():
    loss = losses.NeighborhoodLoss(variant="mean")
    with pytest.raises(ValueError, match="sharpness must be 1 if variant='mean'"):
        loss.sharpness = 3.0


def test_a_kernel_without_its_modality_says_how_to_get_it():
    labels, _, logits = batch()
    with pytest.raises(ValueError, match="the kernel compares 'rgb', so y_true must contain it: train with"):
        losses.NeighborhoodLoss()(labels, logits)
    assert float(losses.NeighborhoodLoss(kernels=losses.GaussianKernel(sigma_xy=3))(labels, logits)) > 0
