import numpy as np
import oracles
import pytest
import tag_oracles
import tensorflow as tf

from keras_wsseg.ops import neighborhood_distribution

VARIANTS = {
    "exponentiated": {},
    "sharp": {"sharpness": 4.0},
    "unnormalized": {"normalized": False, "sharpness": 0.5},
    "mean": {"variant": "mean"},
}
# (weight, xy, rgb) of each kernel.
KERNELS = [(2.0, 4.0, 0.5), (0.7, 1.5, None), (0.5, None, 0.4)]


def case(size=(4, 5), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = oracles.softmax(2 * rng.normal(size=(2, *size, classes))).astype("float32")
    guide = rng.random((2, *size, 3)).astype("float32")
    return y, guide, (rng.random((2, *size)) > 0.2).astype("float32")


def run(y, guide, kernels=KERNELS, **options):
    return neighborhood_distribution(
        y,
        [None if rgb is None else guide / np.float32(rgb) for _, _, rgb in kernels],
        [xy for _, xy, _ in kernels],
        [weight for weight, _, _ in kernels],
        **options,
    )


@pytest.mark.parametrize("radius", (None, 1, 2))
@pytest.mark.parametrize("name", VARIANTS)
def test_distributions_match_the_loop(name, radius):
    y, guide, mask = case()
    found, has_any = run(y, guide, radius=radius, mask=mask, **VARIANTS[name])
    np.testing.assert_array_equal(has_any, mask)
    for i in range(2):
        matrix = tag_oracles.neighbor_kernel(guide[i], KERNELS, radius=radius, inside=mask[i] > 0)
        want = tag_oracles.neighbor_distribution(
            y[i].reshape(20, 3).astype("float64"), matrix, **VARIANTS[name]
        )
        kept = mask[i].ravel() > 0
        np.testing.assert_allclose(np.exp(found[i]).reshape(20, 3)[kept], want[kept], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("radius", (None, 2))
def test_gradients_match_finite_differences(name, radius):
    y, guide, mask = (x[:1] for x in case((3, 4)))
    upstream = np.random.default_rng(1).normal(size=(12, 3)) * mask.reshape(12, 1)
    matrix = tag_oracles.neighbor_kernel(guide[0], KERNELS, radius=radius, inside=mask[0] > 0)

    def total(logits):
        p = oracles.softmax(logits)
        return np.nansum(upstream * np.log(tag_oracles.neighbor_distribution(p, matrix, **VARIANTS[name])))

    logits = np.log(y.astype("float64")).reshape(12, 3)
    x = tf.constant(logits.reshape(y.shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_neighbors = run(tf.nn.softmax(x), guide, radius=radius, mask=mask, **VARIANTS[name])[0]
        value = tf.reduce_sum(upstream.reshape(y.shape).astype("float32") * log_neighbors)
    want = oracles.numeric_gradient(total, logits).reshape(y.shape)
    np.testing.assert_allclose(tape.gradient(value, x), want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_window_over_the_image_is_the_whole_image(name):
    y, guide, mask = case((5, 9))
    whole, whole_found = run(y, guide, mask=mask, **VARIANTS[name])
    window, window_found = run(y, guide, mask=mask, radius=9, **VARIANTS[name])
    np.testing.assert_array_equal(whole_found, window_found)
    np.testing.assert_allclose(np.array(whole)[mask > 0], np.array(window)[mask > 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ("exponentiated", "mean"))
@pytest.mark.parametrize(("filter_method", "tolerance"), (("nystrom", 0.01), ("permutohedral", 0.05)))
def test_approximations_come_near(variant, filter_method, tolerance):
    y, guide, mask = case((16, 18))
    kernels = [(2.0, 5.0, 0.5), (0.7, 1.5, None)]
    options = {"variant": variant, "mask": mask, "landmarks": 120}
    exact = np.exp(run(y, guide, kernels, filter_method="exact", **options)[0])
    found = np.exp(run(y, guide, kernels, filter_method=filter_method, **options)[0])
    # Beside what the distributions of two pixels differ by.
    spread = np.std(exact[mask > 0], axis=0).mean()
    assert np.abs(found - exact)[mask > 0].mean() < 0.15 * spread
    np.testing.assert_allclose(found[mask > 0], exact[mask > 0], atol=tolerance)


@pytest.mark.parametrize("filter_method", ("exact", "nystrom", "permutohedral"))
def test_a_pixel_does_not_count_itself(filter_method):
    """One sure pixel among others that are sure of the other class is told the others' class."""
    y = np.zeros((1, 12, 12, 2), "float32")
    y[..., 0] = 1
    y[0, 6, 6] = [0, 1]
    guide = np.random.default_rng(0).normal(0.5, 0.02, size=(1, 12, 12, 3)).astype("float32")
    log_neighbors = run(
        y, guide, [(1.0, 6.0, 0.2)], variant="mean", filter_method=filter_method, landmarks=60
    )[0]
    assert (
        np.exp(log_neighbors)[0, 6, 6, 1]
        < {"exact": 1e-5, "nystrom": 1e-4, "permutohedral": 2e-3}[filter_method]
    )


def test_negative_entries_of_an_approximation_leave_a_distribution():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, (1, 12, 12))
    classes[0, 5, 5] = 2  # a single pixel, whose share elsewhere is one entry of the matrix
    y = np.eye(3, dtype="float32")[classes]
    guide = rng.random((1, 12, 12, 3)).astype("float32")
    options = {"variant": "mean", "filter_method": "nystrom", "landmarks": 10}
    log_neighbors, found = run(y, guide, [(1.0, 2.0, 0.3)], **options)
    assert np.array(found).mean() > 0.5
    np.testing.assert_allclose(np.exp(log_neighbors).sum(axis=-1)[np.array(found) > 0], 1, atol=1e-5)


@pytest.mark.parametrize("classes", (2, 3, 21))
def test_the_bound_of_the_printed_form(classes):
    """With s = 1 and a normalized kernel no class exceeds e / (e + L); sure neighbors reach just that."""
    y = np.zeros((1, 3, 4, classes), "float32")
    y[..., -1] = 1
    guide = np.zeros((1, 3, 4, 3), "float32")
    bound = np.e / (np.e + classes - 1)
    np.testing.assert_allclose(np.exp(run(y, guide)[0])[..., -1], bound, rtol=1e-5)
    assert np.exp(run(y, guide, sharpness=2.0)[0])[..., -1].min() > bound
    y, guide, _ = case(classes=classes)
    assert np.exp(run(y, guide)[0]).max() < bound


def test_a_mean_field_fixed_point_that_is_not_uniform():
    """q_i(l) ~ exp(sum_j k_ij q_j(l)), found by iteration, is its own neighborhood."""
    size, classes = (5, 6), 3
    guide = np.zeros((1, *size, 3), "float32")
    guide[:, :, 3:] = 0.6
    guide[:, 3:, 3:, 0] = 1.0
    kernels = [(1.2, 3.0, 0.2), (0.3, 1.0, None)]
    matrix = tag_oracles.neighbor_kernel(guide[0], kernels)
    sides = np.digitize(guide[0].sum(axis=-1), [0.5, 2.0]).ravel()
    q = tag_oracles.mean_field_fixed_point(matrix, oracles.softmax(3 * np.eye(classes)[sides]))
    assert (q.argmax(axis=1) == sides).all() and q.max() > 0.9 and q.std(axis=0).min() > 0.1
    y = q.reshape(1, *size, classes).astype("float32")
    for radius in (None, 6):
        found, has_any = run(y, guide, kernels, radius=radius, normalized=False)
        assert np.array(has_any).all()
        np.testing.assert_allclose(np.exp(found), y, atol=1e-5)
        # Neither the printed form nor a pixel's own share in the sum would keep it.
        assert np.abs(np.exp(run(y, guide, kernels, radius=radius)[0]) - y).max() > 0.1
    assert np.abs(oracles.softmax((matrix + 1.5 * np.eye(30)) @ q) - q).max() > 1e-3


@pytest.mark.parametrize("radius", (None, 1))
@pytest.mark.parametrize("name", VARIANTS)
def test_pixels_without_neighbors_are_told_apart(name, radius):
    y, guide, _ = case((4, 4))
    mask = np.zeros((2, 4, 4), "float32")
    mask[0, 0, 0] = mask[1, 1, 1] = mask[1, 1, 2] = 1
    x = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found, has_any = run(x, guide, [(1.0, 2.0, 5.0)], radius=radius, mask=mask, **VARIANTS[name])
        total = tf.reduce_sum(has_any[..., None] * found)
    want = mask.copy()
    want[0] = 0
    np.testing.assert_array_equal(has_any, want)
    assert np.isfinite(found).all() and np.isfinite(tape.gradient(total, x)).all()
    # A pixel that looks like no other has none either.
    alone = guide.copy()
    alone[0, 2, 2] = 90
    has_any = np.array(run(y, alone, [(1.0, 2.0, 0.5)], radius=radius, **VARIANTS[name])[1])
    assert has_any[0, 2, 2] == 0 and has_any.sum() == 31


def test_sure_predictions_stay_finite():
    y, guide, _ = case()
    sure = np.eye(3, dtype="float32")[y.argmax(axis=-1)]
    for options in VARIANTS.values():
        assert np.isfinite(run(sure, 0 * guide, **options)[0]).all()


def test_relabeling_flipping_and_scaling_the_kernel_change_nothing():
    y, guide, mask = case()

    def found(y, guide, mask, **options):
        return mask[..., None] * np.array(run(y, guide, mask=mask, **options)[0])

    want = found(y, guide, mask)
    np.testing.assert_allclose(found(y[..., ::-1], guide, mask)[..., ::-1], want, rtol=1e-4)
    np.testing.assert_allclose(found(y[:, ::-1], guide[:, ::-1], mask[:, ::-1])[:, ::-1], want, rtol=1e-4)
    scaled = [(7 * weight, xy, rgb) for weight, xy, rgb in KERNELS]
    np.testing.assert_allclose(found(y, guide, mask, kernels=scaled), want, rtol=1e-4)


def test_sigmas_of_rows_and_columns_may_differ():
    y, guide, _ = case((4, 6), seed=2)
    matrix = tag_oracles.neighbor_kernel(guide[0], [(1.0, 4.0, 0.5), (1.0, 3.0, None)], steps=(4.0, 2.5))
    want = tag_oracles.neighbor_distribution(y[0].reshape(24, 3).astype("float64"), matrix)
    for radius in (None, 6):
        found, _ = neighborhood_distribution(
            y, [guide / 0.5, None], [(1.0, tf.constant(1.6)), (0.75, 1.2)], radius=radius
        )
        np.testing.assert_allclose(np.exp(found[0]).reshape(24, 3), want, rtol=1e-4)


@pytest.mark.parametrize("radius", (None, 3))
def test_graph_xla_and_dynamic_sizes_agree_with_eager(radius):
    y, guide, mask = case((9, 11))

    def both(y, guide, mask):
        with tf.GradientTape() as tape:
            tape.watch(y)
            log_neighbors, found = neighborhood_distribution(
                y,
                [guide / 0.5, None],
                [3.0, 1.5],
                radius=radius,
                mask=mask,
                filter_method="auto",
                landmarks=99,
            )
            total = tf.reduce_sum((mask * found)[..., None] * log_neighbors**2)
        return log_neighbors * mask[..., None], tape.gradient(total, y)

    arrays = [tf.constant(x) for x in (y, guide, mask)]
    want = both(*arrays)
    dynamic = [
        tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None] * 3)
    ]  # fmt: skip
    for options in ({}, {"jit_compile": True}, {"input_signature": dynamic}):
        found = tf.function(both, **options)(*arrays)
        # Of unknown size, an image is summed by landmarks.
        tolerance = 2e-2 if "input_signature" in options and radius is None else 1e-4
        for one, other in zip(found, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_no_gradient_flows_to_features_and_mask():
    y, guide, mask = case()
    inputs = [tf.constant(guide), tf.constant(mask)]
    for radius in (None, 2):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = tf.reduce_sum(
                neighborhood_distribution(y, [inputs[0]], [3.0], radius=radius, mask=inputs[1])[0]
            )
        assert tape.gradient(value, inputs) == [None, None]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"probabilities": np.zeros((2, 4, 3))}, r"probabilities must be \(batch, height, width, classes\)"),
        (
            {"sigmas_xy": [1.0, 2.0]},
            "must contain one item per kernel, and at least one. Received: 1, 2 and 1",
        ),
        (
            {"features": [], "sigmas_xy": []},
            "must contain one item per kernel, and at least one. Received: 0, 0 and 0",
        ),
        ({"features": [None], "sigmas_xy": [None]}, "must have features or a sigma .* Received: neither"),
        ({"features": [np.zeros((2, 4, 6, 3))]}, r"features must match the grid .* \(2, 4, 6, 3\)"),
        ({"mask": np.zeros((2, 4, 5, 1))}, r"mask must match the grid .* Received: shape \(2, 4, 5, 1\)"),
        ({"variant": "median"}, "variant must be one of .* Received: variant='median'"),
        (
            {"variant": "mean", "normalized": False},
            "normalized must be True if variant='mean'.*normalized=False",
        ),
        ({"radius": 0}, "`radius` must be an integer of at least 1. Received: radius=0"),
        (
            {"radius": 2, "filter_method": "exact"},
            "filter_method must be 'auto' if a radius is given.*filter_method='exact'",
        ),
        ({"filter_method": "tiles"}, "filter_method must be one of .* Received: filter_method='tiles'"),
        ({"landmarks": 0}, "`landmarks` must be an integer of at least 1. Received: landmarks=0"),
    ],
)
def test_bad_arguments_say_what_is_wrong(changes, text):
    y, guide, _ = case()
    arguments = {"probabilities": y, "features": [guide], "sigmas_xy": [2.0], **changes}
    with pytest.raises(ValueError, match=text):
        neighborhood_distribution(**arguments)
