import numpy as np
import pytest

from keras_wsseg.visualization import annealing_sheet, neighbor_weights_image
from keras_wsseg.visualization.annealing_sheet import annealing_column, annealing_film

CELL = 64


@pytest.fixture
def scene():
    """Two images of the size of a cell or half of it, and what two epochs predict of them."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape).astype("uint8") for shape in ((64, 64, 3), (16, 32))]
    maps = []
    for _ in range(2):
        p = [rng.random(image.shape[:2]) for image in images]
        maps.append([np.stack([1 - one, one], axis=-1) for one in p])
    return images, maps


def holds(sheet, image):
    """Whether the sheet shows an image somewhere, pixel by pixel."""
    image = np.broadcast_to(image if image.ndim == 3 else image[..., None], (*image.shape[:2], 3))
    windows = np.lib.stride_tricks.sliding_window_view(sheet, image.shape)[:, :, 0]
    starts = np.argwhere((windows[:, :, 0, 0] == image[0, 0]).all(-1))
    return any((windows[i, j] == image).all() for i, j in starts)


def test_each_epoch_shows_its_weights_and_its_prediction(scene):
    images, maps = scene
    sheet = annealing_sheet(images, [0.05, 0.3], maps, cell=CELL)
    assert holds(sheet, images[0])
    assert holds(sheet, np.repeat(np.repeat(images[1], 2, 0), 2, 1))
    for sigma, probabilities in zip((0.05, 0.3), maps, strict=True):
        assert holds(sheet, neighbor_weights_image(images[0], sigma))
        assert holds(sheet, np.rint(255 * probabilities[0][..., 1]).astype(np.uint8))
    assert not holds(sheet, neighbor_weights_image(images[0], 0.1))


def test_another_class_is_the_object(scene):
    images, maps = scene
    sheet = annealing_sheet(images[:1], [0.1], [maps[0][:1]], object_class=0, cell=CELL)
    assert holds(sheet, np.rint(255 * maps[0][0][..., 0]).astype(np.uint8))


def test_mask_colors_where_the_object_is_likeliest():
    image = np.full((64, 64, 3), 100, np.uint8)
    p = np.zeros((64, 64, 3))
    p[..., 0], p[..., 1] = 0.3, 0.4
    p[:, 32:] = (0.5, 0.4, 0.1)
    expected = image.copy()
    expected[:, :32] = np.rint((100 + np.array((230, 57, 70))) / 2)
    assert holds(annealing_sheet([image], [0.1], [[p]], show="mask", cell=CELL), expected)
    truth = np.zeros((64, 64), int)
    truth[:, :32] = 1
    film = annealing_film([image], [], [truth], show="mask", cell=CELL)
    assert holds(film, expected)
    mask = np.where(truth == 1, 255, 0).astype(np.uint8)
    assert holds(annealing_film([image], [], [truth], cell=CELL), mask)
    assert not holds(annealing_film([image], [], [None], cell=CELL), mask)


def test_without_truth_the_image_is_shown_again_and_never_a_blank(scene):
    images, _ = scene
    blank = np.full((32, 32, 3), 255, np.uint8)
    for truth in (None, [None, None]):
        film = annealing_film(images, [], truth, cell=CELL)
        assert holds(film[:120], images[0]) and holds(film[100:], images[0])
        # Below the caption, left of where its paper begins.
        assert not holds(film[40:, :CELL], blank)


def test_columns_are_of_one_height_with_truth_and_without(scene):
    images, maps = scene
    column = annealing_column(images, 0.1, maps[0], "epoch 1", cell=CELL)
    columns = [column] * 6  # wider than the caption
    film = annealing_film(images, columns, cell=CELL)
    assert (film[-column.shape[0] :, -column.shape[1] :] == column).all()
    truth = [None, np.ones((16, 32), int)]
    with_truth = annealing_film(images, columns, truth, cell=CELL)
    assert with_truth.shape[0] == film.shape[0]


def test_title_tells_sigma_and_is_the_callers(scene):
    images, maps = scene
    sheets = [
        annealing_sheet(images[:1], [0.1], [maps[0][:1]], titles=[title], cell=CELL)
        for title in ("epoch 1", "epoch 7")
    ]
    assert (sheets[0] != sheets[1]).any()
    default = annealing_sheet(images[:1], [0.1], [maps[0][:1]], cell=CELL)
    np.testing.assert_array_equal(sheets[0], default)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sigmas": [0.0]}, ValueError, "`sigma` must be a number above 0. Received: sigma=0.0$"),
        ({"sigmas": [0.1, 0.2]}, ValueError, "`probabilities` must have an entry for each of the 2 epochs"),
        ({"titles": []}, ValueError, "`titles` must have an entry for each of the 1 epochs. Received: 0"),
        ({"probabilities": [[]]}, ValueError, "`probabilities` must have .* the 1 images. Received: 0"),
        ({"truth": []}, ValueError, "`truth` must have an entry for each of the 1 images. Received: 0"),
        ({"truth": [np.zeros((4, 4))]}, TypeError, "`truth` must hold integers. Received: dtype=float64$"),
        ({"show": "gray"}, ValueError, r"`show` must be one of .* Received: show='gray'$"),
        ({"object_class": 2}, ValueError, "must be a class id from 0 to 1. Received: object_class=2$"),
        (
            {"object_class": -1},
            ValueError,
            "`object_class` must be an integer of at least 0. Received: object_class=-1$",
        ),
        (
            {"object_class": 0.5},
            ValueError,
            "`object_class` must be an integer .*Received: object_class=0.5$",
        ),
        (
            {"probabilities": [[np.zeros((4, 3, 2))]]},
            ValueError,
            r"of the image, \(4, 4\). Received: shape=\(4, 3, 2\)$",
        ),
        (
            {"probabilities": [[np.full((4, 4, 2), -3.0)]]},
            ValueError,
            r"must lie within \[0, 1\].* Received: values from -3 to -3$",
        ),
        ({"value_range": (0, 0)}, ValueError, "`value_range` must be two"),
        ({"cell": 8}, ValueError, "`cell` must be an integer of at least 32. Received: cell=8$"),
    ],
)
def test_bad_arguments(change, error, message):
    arguments = {
        "images": [np.zeros((4, 4), np.uint8)],
        "sigmas": [0.1],
        "probabilities": [[np.full((4, 4, 2), 0.5)]],
    }
    with pytest.raises(error, match=message):
        annealing_sheet(**{**arguments, **change})
