"""Widths in position count in pixels of the image, on whichever grid a loss is computed."""

import numpy as np
import oracles
import pytest
import ways

from keras_wsseg import losses, targets
from keras_wsseg.losses.loss_grid import grid_size, image_positions, whole_cells

SIZE = (16, 12)
# By what the sides of the image are divided in the prediction, `resolution`, and pixels a cell of the grid.
GRIDS = {
    "the image": (1, 1.0, 1),
    "half a prediction": (2, 1.0, 2),
    "a quarter of a prediction": (4, 1.0, 4),
    "half a loss": (1, 0.5, 2),
    "a quarter of a loss": (1, 0.25, 4),
    "a quarter below half": (2, 0.25, 4),
    "a prediction coarser than the loss": (4, 0.5, 4),
}


def case(shrink):
    rng = np.random.default_rng(0)
    guide = rng.random((2, *SIZE, 3)).astype("float32")
    logits = rng.normal(size=(2, SIZE[0] // shrink, SIZE[1] // shrink, 3)).astype("float32")
    return np.array(targets.pack(np.full((2, *SIZE), 255), guide)), guide, logits


def averaged(x, size):
    """Means over the cells of a grid of which each holds as many pixels."""
    return x.reshape(2, size[0], x.shape[1] // size[0], size[1], x.shape[2] // size[1], -1).mean((2, 4))


def by_pixels(logits, guide, cell):
    """The gated CRF with sigma_xy=5 and sigma_rgb=0.4; cells are as far apart as they are wide."""
    size = (SIZE[0] // cell, SIZE[1] // cell)
    y, colors = averaged(oracles.softmax(logits.astype("float64")), size), averaged(guide, size)
    places = np.stack(
        np.meshgrid(np.arange(0, SIZE[0], cell), np.arange(0, SIZE[1], cell), indexing="ij"), -1
    )
    ones = np.ones(size)
    total = sum(
        oracles.gated_crf(y[i], [np.concatenate([places / 5, colors[i] / 0.4], -1)], 2, [1.0], ones, ones)[0]
        for i in range(2)
    )
    return total / (2 * ones.size)


def loss_of(resolution):
    kernel = losses.GaussianKernel(sigma_xy=5, sigma_rgb=0.4)
    return losses.GatedCRFLoss(weight=1.0, radius=2, kernels=kernel, resolution=resolution)


def check(value, slope, logits, guide, cell):
    direction = np.random.default_rng(1).normal(size=logits.shape)
    step = 1e-4 * direction
    ends = [by_pixels(logits.astype("float64") + sign * step, guide, cell) for sign in (1, -1)]
    np.testing.assert_allclose(value, by_pixels(logits, guide, cell), rtol=1e-5)
    np.testing.assert_allclose((slope * direction).sum(), (ends[0] - ends[1]) / 2e-4, rtol=1e-3)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", GRIDS)
def test_one_kernel_means_the_same_on_every_grid(name):
    shrink, resolution, cell = GRIDS[name]
    y_true, guide, logits = case(shrink)
    loss = loss_of(resolution)
    for value, (slope,) in ways.value_and_slopes(lambda z: loss(y_true, z), logits, ways=ways.QUICK_WAYS):
        check(value, slope, logits, guide, cell)


@pytest.mark.parametrize("name", GRIDS)
def test_one_kernel_means_the_same_at_sizes_known_at_run_time(name):
    import tensorflow as tf

    shrink, resolution, cell = GRIDS[name]
    y_true, guide, logits = case(shrink)
    loss = loss_of(resolution)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, n]) for n in (4, 3)], autograph=False)
    def run(y_true, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(y_true, logits)
        return value, tape.gradient(value, logits)

    value, slope = run(y_true, logits)
    check(float(value), np.array(slope), logits, guide, cell)


@pytest.mark.any_backend
def test_uneven_cells_lie_evenly_over_the_image():
    labels = np.zeros((2, 7, 10), "int32")
    assert grid_size(labels, 0.5) == (4, 5) and grid_size(labels, 0.01) == (1, 1)
    assert grid_size(labels, 0.5, np.zeros((2, 3, 9, 2))) == (3, 5)
    places = np.array(image_positions(labels, 3, 5))
    assert places.shape == (2, 3, 5, 2)
    np.testing.assert_allclose(places[1, :, 2, 0], [0, 7 / 3, 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(places[1, 2, :, 1], [0, 2, 4, 6, 8])


@pytest.mark.any_backend
def test_a_cell_is_whole_where_all_of_its_pixels_are():
    mask = np.ones((1, 4, 6), bool)
    mask[0, 3, 2] = False
    assert np.array(whole_cells(mask, 2, 3)).tolist() == [[[1, 1, 1], [1, 0, 1]]]
    assert np.array(whole_cells(mask, 2, 4)).tolist() == [[[1, 1, 1, 1], [1, 0, 1, 1]]]
