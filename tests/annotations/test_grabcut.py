import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from keras_wsseg.annotations import PADDING, UNLABELED, grabcut_proposals, read_label_map, simulate_scribbles


def scene(noise=6):
    """Two things on a ground, their truth, and a stroke in each."""
    random = np.random.default_rng(0)
    truth = np.zeros((40, 60), np.uint8)
    truth[8:30, 6:24] = 1
    truth[14:36, 36:52] = 2
    colors = np.array([(40, 90, 40), (200, 60, 60), (60, 80, 220)])
    image = np.clip(colors[truth] + random.normal(0, noise, (*truth.shape, 3)), 0, 255).astype(np.uint8)
    labels = np.full(truth.shape, UNLABELED, np.uint8)
    labels[3, 4:56], labels[18, 9:20], labels[20:32, 44] = 0, 1, 2
    return image, labels, truth


def agreement(proposal, truth):
    return np.mean(proposal == truth)


def test_strokes_grow_to_the_things():
    image, labels, truth = scene()
    before = labels.copy()
    proposal = grabcut_proposals(image, labels)
    assert proposal.dtype == np.uint8 and proposal.shape == labels.shape
    assert agreement(proposal, truth) > 0.99
    np.testing.assert_array_equal(labels, before)


def test_gray_images_of_any_range():
    image, labels, truth = scene()
    gray = image[..., :1].astype(np.float64) / 255
    proposal = grabcut_proposals(gray, labels, value_range=(0, 1))
    np.testing.assert_array_equal(proposal, grabcut_proposals(image[..., 0], labels))
    ground, thing = truth != 1, truth == 1
    assert np.mean(proposal[thing] == 1) > 0.99 and np.mean(proposal[ground] != 1) > 0.99


def test_the_same_seed_gives_the_same_proposal_whatever_was_drawn_before():
    import cv2

    random = np.random.default_rng(3)
    image = random.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    labels = np.full((30, 30), UNLABELED, np.uint8)
    labels[5, 3:25], labels[22, 3:25] = 0, 1
    first = grabcut_proposals(image, labels, seed=4)
    cv2.setRNGSeed(99)
    np.testing.assert_array_equal(grabcut_proposals(image, labels, seed=4), first)
    others = [grabcut_proposals(image, labels, seed=seed) for seed in range(5, 9)]
    assert any((other != first).any() for other in others)


def test_annotated_pixels_keep_a_label_that_their_color_speaks_against():
    image, labels, _ = scene()
    labels[25, 10], labels[1, 1] = 0, 2
    proposal = grabcut_proposals(image, labels)
    drawn = labels != UNLABELED
    np.testing.assert_array_equal(proposal[drawn], labels[drawn])
    assert proposal[25, 14] == 1


def test_a_class_without_a_stroke_is_absent():
    image, labels, _ = scene()
    labels[labels == 2] = UNLABELED
    assert set(np.unique(grabcut_proposals(image, labels))) <= {0, 1, UNLABELED}


def test_pixels_that_no_class_claims():
    image, labels, truth = scene()
    labels[labels != 1] = UNLABELED
    nothing = grabcut_proposals(image, labels)
    assert set(np.unique(nothing)) == {1, UNLABELED}
    ground = grabcut_proposals(image, labels, unclaimed=0)
    np.testing.assert_array_equal(ground, np.where(nothing == UNLABELED, 0, nothing))
    assert np.mean(ground[truth == 0] == 0) > 0.99


def test_a_pixel_between_two_strokes_of_one_color_goes_to_the_nearer():
    image = np.full((5, 21, 3), 100, np.uint8)
    image[0] = 220
    labels = np.full((5, 21), UNLABELED, np.uint8)
    labels[2, 1], labels[2, 19], labels[0] = 1, 2, 0
    proposal = grabcut_proposals(image, labels, unclaimed=0)
    assert set(proposal[1:, :8].ravel()) <= {0, 1} and set(proposal[1:, 13:].ravel()) <= {0, 2}


def test_pixels_outside_the_image_stay_and_change_nothing():
    image, labels, truth = scene()
    wide = np.pad(labels, ((0, 0), (0, 30)), constant_values=PADDING)
    proposals = []
    for fill in (0, 255):
        padded = np.pad(image, ((0, 0), (0, 30), (0, 0)), constant_values=fill)
        proposals.append(grabcut_proposals(padded, wide))
    np.testing.assert_array_equal(*proposals)
    assert (proposals[0][:, 60:] == PADDING).all() and (proposals[0][:, :60] != PADDING).all()
    assert agreement(proposals[0][:, :60], truth) > 0.99


@pytest.mark.parametrize("unclaimed", [0, UNLABELED])
def test_images_with_nothing_to_cut(unclaimed):
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    bare = np.full((6, 7), UNLABELED, np.uint8)
    bare[0] = PADDING
    expected = np.where(bare == PADDING, PADDING, unclaimed)
    np.testing.assert_array_equal(grabcut_proposals(image, bare, unclaimed=unclaimed), expected)
    np.testing.assert_array_equal(grabcut_proposals(image, np.full((6, 7), PADDING)), PADDING)
    np.testing.assert_array_equal(grabcut_proposals(image, np.full((6, 7), 3)), 3)
    np.testing.assert_array_equal(grabcut_proposals(image[:1, :1], np.full((1, 1), 2)), 2)
    one = np.full((1, 2), UNLABELED)
    one[0, 0] = 1
    assert grabcut_proposals(image[:1, :2], one)[0, 0] == 1


def test_single_clicks_suffice():
    image, _, truth = scene()
    labels = np.full(truth.shape, UNLABELED, np.uint8)
    labels[3, 30], labels[18, 15], labels[25, 44] = 0, 1, 2
    assert agreement(grabcut_proposals(image, labels), truth) > 0.9


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"labels": np.zeros((2, 2))},
            TypeError,
            "`labels` must hold integers. Received: labels.dtype=float64$",
        ),
        (
            {"labels": np.zeros((2, 3), int)},
            ValueError,
            r"of the labels, \(2, 3\). Received: shape=\(2, 2, 3\)$",
        ),
        ({"image": np.zeros((2, 2, 4))}, ValueError, r"`image` must hold numbers .* shape=\(2, 2, 4\)"),
        ({"image": np.zeros((2, 2), bool)}, ValueError, "`image` must hold numbers .* dtype=bool$"),
        ({"image": np.full((2, 2), 300)}, ValueError, r"value_range=\(0, 255\). Received: .* 300 to 300$"),
        ({"image": np.full((2, 2), np.nan)}, ValueError, "Received: values from nan to nan$"),
        (
            {"value_range": (1, 1)},
            ValueError,
            r"`value_range` must be two .* Received: value_range=\(1, 1\)$",
        ),
        (
            {"iterations": 0},
            ValueError,
            "`iterations` must be an integer of at least 1. Received: iterations=0$",
        ),
        ({"iterations": 1.5}, ValueError, "Received: iterations=1.5$"),
        ({"unclaimed": 254}, ValueError, "`unclaimed` must be a class id or 255. Received: unclaimed=254$"),
        ({"seed": -1}, ValueError, "`seed` must be an integer from 0 .* Received: seed=-1$"),
    ],
)
def test_bad_arguments(change, error, message):
    given = {"image": np.zeros((2, 2, 3), np.uint8), "labels": np.zeros((2, 2), int), **change}
    with pytest.raises(error, match=message):
        grabcut_proposals(**given)


def test_without_opencv_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"install keras-wsseg with its extra \[grabcut\]"):
        grabcut_proposals(np.zeros((2, 2), np.uint8), np.zeros((2, 2), int))


def test_opencv_is_loaded_late():
    code = "import sys, keras_wsseg.annotations; assert 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_on_a_photograph_colors_know_more_than_the_nearest_stroke(real_data):
    folder, name = real_data / "voc_mini", "2007_001284.png"
    image = np.asarray(Image.open(folder / "images" / name).convert("RGB"))[::4, ::4]
    truth = read_label_map(folder / "labels" / name)[::4, ::4]
    labels = simulate_scribbles(truth)
    places = ndimage.distance_transform_edt(labels >= PADDING, return_distances=False, return_indices=True)
    person, known = truth == 15, truth != UNLABELED
    by_grabcut, by_distance = (
        np.sum((found == 15) & person) / np.sum(((found == 15) | person) & known)
        for found in (grabcut_proposals(image, labels), labels[tuple(places)])
    )
    assert by_grabcut > by_distance + 0.1
