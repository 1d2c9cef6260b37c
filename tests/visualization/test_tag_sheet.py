import numpy as np
import pytest

from keras_wsseg.annotations import tags_of_labels
from keras_wsseg.visualization import contact_sheet, overlay, tag_sheet
from keras_wsseg.visualization.tag_sheet import checked_tags

PALETTE = [[11, 22, 33], [200, 100, 0], [0, 0, 250]]
NAMES = ["ground", "cat", "dog"]
CELL = 64


def painted(sheet, color):
    return int((sheet == color).all(-1).sum())


def given(count=1, **change):
    """Black images of two classes: certain of the ground on the left, of the cat on the right."""
    maps = np.zeros((CELL, CELL, 3))
    maps[:, :32, 0] = maps[:, 32:, 1] = 1
    labels = np.full((CELL, CELL), 255)
    labels[:, :16], labels[:, 48:] = 0, 1
    return {
        "images": [np.zeros((CELL, CELL), np.uint8)] * count,
        "maps": [maps] * count,
        "labels": [labels] * count,
        "probabilities": [maps] * count,
        "class_names": NAMES,
        "palette": PALETTE,
        "cell": CELL,
        **change,
    }


@pytest.fixture
def parts(monkeypatch):
    """What a contact sheet is made of: rows and titles of the last `tag_sheet`."""
    seen = {}

    def keep(rows, titles, names, palette, caption, cell):
        seen.update(rows=rows, titles=titles, names=names, caption=caption)
        return contact_sheet(rows, titles, names, palette, caption, cell)

    # The function hides its module of the same name.
    monkeypatch.setitem(tag_sheet.__globals__, "contact_sheet", keep)
    return seen


def column(parts, title, image=0):
    return parts["rows"][3 * image][parts["titles"].index(title)]


def note(parts, title, image=0):
    return parts["rows"][3 * image + 1][parts["titles"].index(title)]


def test_a_column_for_each_class_that_an_image_has(parts):
    tag_sheet(**given(truth=[None]))
    assert parts["titles"] == [
        "image",
        "map of ground",
        "map of cat",
        "estimated labels",
        "prediction",
        "truth",
    ]
    tag_sheet(**given(tags=[[1, 0, 1]]))
    assert parts["titles"] == ["image", "map of ground", "map of dog", "estimated labels", "prediction"]
    assert parts["names"] == NAMES


def test_a_class_that_only_another_image_has_is_blank(parts):
    tag_sheet(**given(2, tags=[[0, 1, 0], [0, 0, 1]]))
    assert column(parts, "map of cat", 0) is not None and note(parts, "map of cat", 0) is not None
    assert column(parts, "map of cat", 1) is None and note(parts, "map of cat", 1) is None
    assert column(parts, "map of dog", 0) is None and column(parts, "map of ground", 1) is not None


def test_a_map_is_gray_at_none_and_yellow_at_full(parts):
    arguments = given(images=[np.full((CELL, CELL, 3), (200, 100, 50), np.uint8)])
    arguments["maps"][0][:8, 32:, 1] = 0.4
    tag_sheet(**arguments)
    heat = column(parts, "map of cat").astype(int)
    assert np.ptp(heat[:, :32], axis=-1).max() == 0 and heat[0, 0, 0] < 100
    red, green, blue = heat[40, 50]
    assert red > 200 and green > 200 and blue < 180
    red, green, blue = heat[4, 50]
    assert 200 > red > 120 and green < 90 and blue < 60
    assert (column(parts, "map of ground")[:, :32] == column(parts, "map of cat")[40, 50]).all()


def test_the_image_stays_visible_under_the_heat(parts):
    image = np.zeros((CELL, CELL), np.uint8)
    image[:, 40:] = 255
    tag_sheet(**given(images=[image]))
    heat = column(parts, "map of cat").astype(int).sum(-1)
    assert heat[10, 50] - heat[10, 36] > 60


def test_unlabeled_pixels_show_the_image(parts):
    tag_sheet(**given(images=[np.full((CELL, CELL), 80, np.uint8)]))
    labels = column(parts, "estimated labels")
    assert (labels[:, 16:48] == 80).all()
    np.testing.assert_array_equal(labels[:, :16], np.broadcast_to([32, 39, 47], (CELL, 16, 3)))
    np.testing.assert_array_equal(labels[:, 48:], np.broadcast_to([164, 94, 24], (CELL, 16, 3)))


def test_a_rim_sets_labels_off_in_larger_images(parts):
    image, maps = np.full((256, 256), 200, np.uint8), np.full((256, 256, 2), 0.5)
    labels = np.full((256, 256), 255)
    labels[:, :100] = 0
    tag_sheet([image], [maps], [labels], [maps], palette=[[200, 200, 200]] * 2)
    row = column(parts, "estimated labels")[128, :, 0]
    assert row[101] == 50 and (np.delete(row, 101) == 200).all()


def test_prediction_and_truth_are_overlays(parts):
    truth = np.full((CELL, CELL), 2)
    arguments = given(truth=[truth])
    tag_sheet(**arguments)
    image = arguments["images"][0]
    predicted = np.repeat([[0] * 32 + [1] * 32], CELL, axis=0)
    np.testing.assert_array_equal(column(parts, "prediction"), overlay(image, predicted, PALETTE))
    np.testing.assert_array_equal(column(parts, "truth"), overlay(image, truth, PALETTE))


def drawn_words(monkeypatch, **arguments):
    """All words of the plates of a sheet, in their order."""
    words = []
    plate = tag_sheet.__globals__["_text_box"]

    def keep(placed, *rest):
        words.append([(one[2], one[3]) for one in placed])
        return plate(placed, *rest)

    monkeypatch.setitem(tag_sheet.__globals__, "_text_box", keep)
    tag_sheet(**arguments)
    return words


def test_words_under_the_images(monkeypatch):
    cat, dog = ("cat", (200, 100, 0)), ("dog", (0, 0, 250))
    arguments = given(2, tags=[[1, 1, 1], [1, 0, 0]])
    arguments["labels"][1] = np.where(arguments["labels"][1] == 1, 254, 255)
    assert drawn_words(monkeypatch, **arguments) == [
        [cat, dog],
        [("mean 0.50", None)],
        [("mean 0.50", None)],
        [("mean 0.00", None)],
        [("50% labeled", None)],
        [("ground alone", None)],
        [("mean 0.67", None)],
        [("0% labeled", None)],
    ]


def test_the_words_are_on_the_sheet_with_the_colors_of_their_classes():
    legend = 11 * 11
    sheet = tag_sheet(**given(tags=[[1, 0, 1]]))
    without = tag_sheet(**given(tags=[[1, 1, 0]]))
    assert painted(sheet, PALETTE[2]) > 1.5 * legend > painted(without, PALETTE[2]) > 0
    np.testing.assert_array_equal(sheet, tag_sheet(**given(tags=np.array([[0, 0, 1]], "float32"))))


def test_many_tags_break_into_lines_and_plates_of_a_row_are_alike(parts):
    maps = np.full((CELL, CELL, 9), 1 / 9)
    names = [f"a thing of {number}" for number in range(9)]
    tag_sheet(**given(maps=[maps], probabilities=[maps], class_names=names, palette=None, cell=200))
    plates = [one for one in parts["rows"][1] if one is not None]
    assert {one.shape for one in plates} == {plates[0].shape}
    assert 4 * 16 < plates[0].shape[0] <= plates[0].shape[1] == 200
    ink = [rows.min() < 100 for rows in np.array_split(plates[0].min(axis=(1, 2)), 4)]
    assert all(ink)
    assert plates[1][plates[1].shape[0] // 2 :, 2:-2].min() == 255


def test_names_by_default_and_the_line_above(parts):
    tag_sheet(**given(class_names=None, caption="epoch 3"))
    assert parts["names"] == ["background", "class 1", "class 2"]
    assert parts["caption"].startswith("epoch 3;  maps: ")
    tag_sheet(**given())
    assert parts["caption"].startswith("maps: ")


def test_images_of_any_size_and_range(parts):
    images = [np.random.default_rng(0).random((20, 30, 1)), np.ones((48, 12, 3))]
    maps = [np.full((*image.shape[:2], 3), 1 / 3) for image in images]
    labels = [np.zeros(image.shape[:2], np.uint8) for image in images]
    sheet = tag_sheet(images, maps, labels, maps, value_range=(0, 1), cell=CELL)
    assert sheet.dtype == np.uint8 and sheet.shape[-1] == 3
    assert [parts["rows"][3 * i][0].shape for i in (0, 1)] == [(20, 30, 3), (48, 12, 3)]


def test_the_background_is_there_without_a_map():
    assert checked_tags([[0, 1, 0]], 1).tolist() == [[True, True, False]]


def test_of_real_images(real_data, parts):
    from PIL import Image

    names = ["nothing", *(real_data / "camvid" / "classes.txt").read_text().split()]
    stem = (real_data / "camvid" / "val.txt").read_text().split()[0]
    image = np.asarray(Image.open(next((real_data / "camvid" / "images").glob(f"{stem}.*"))).convert("RGB"))
    labels = np.asarray(Image.open(real_data / "camvid" / "labels" / f"{stem}.png")).astype(int)
    labels = np.where(labels == 255, 0, labels + 1)
    maps = np.eye(len(names))[labels]
    tags = tags_of_labels(labels, len(names))
    sheet = tag_sheet([image], [maps], [labels], [maps], [labels], names, tags=[tags])
    assert parts["titles"].count("prediction") == 1
    assert sum(title.startswith("map of ") for title in parts["titles"]) == tags.sum()
    assert sheet.shape[1] < 3500 and sheet.shape[0] < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": []}, "`maps` must have an entry for each of the 1 images. Received: 0 entries$"),
        ({"truth": [None, None]}, "`truth` must have an entry .* Received: 2 entries$"),
        (
            {"maps": [np.ones((4, 4, 3))]},
            r"`maps` must have shape .*\(64, 64, 3\). Received: shape=\(4, 4, 3\)$",
        ),
        ({"maps": [np.full((64, 64, 3), 1.5)]}, r"`maps` must lie within \[0, 1\]. Received: .*1.5 to 1.5$"),
        ({"maps": [np.full((64, 64, 3), np.nan)]}, "`maps` must lie within .* nan to nan$"),
        ({"probabilities": [np.ones((64, 64, 2))]}, r"`probabilities` must have .*shape=\(64, 64, 2\)$"),
        ({"labels": [np.zeros((4, 4), int)]}, "`labels` must have the height and width of the image"),
        ({"truth": [np.zeros((4, 4), int)]}, "`truth` must have the height and width of the image"),
        (
            {"class_names": ["a"]},
            "`class_names` must have a name for each of the 3 classes. Received: 1 names$",
        ),
        ({"tags": [[1, 1]]}, r"`tags` must be \(1 images, 3 classes\), .*Received: shape=\(1, 2\)$"),
        ({"tags": [[1, 1, 2]]}, "`tags` must contain only 0 and 1. Received: 1 to 2$"),
        ({"cell": 8}, "`cell` must be an integer of at least 32. Received: cell=8$"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        tag_sheet(**given(**change))


def test_labels_that_are_no_integers():
    with pytest.raises(TypeError, match="`labels` must hold integers. Received: dtype=float64$"):
        tag_sheet(**given(labels=[np.zeros((CELL, CELL))]))
