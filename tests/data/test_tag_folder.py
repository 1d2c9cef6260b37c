import keras
import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import PADDING, UNLABELED, read_label_map, tags_of_labels, write_tags
from keras_wsseg.data import TagFolder


def flat(path, value, size=(12, 16)):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


def label_map(path, values, size=(12, 16)):
    """A map of 255 that begins with the values, one pixel each."""
    labels = np.full(size, UNLABELED, np.uint8)
    labels.ravel()[: len(values)] = values
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(labels).save(path)


TAGS = {"p0": ("dog",), "p1": ("dog", "cat"), "p2": (), "p3": ("cat",), "p4": ("cat",)}
ROWS = {"p0": [1, 0, 1], "p1": [1, 1, 1], "p2": [1, 0, 0], "p3": [1, 1, 0], "p4": [1, 1, 0]}


@pytest.fixture
def root(tmp_path):
    """The same five images, each of one gray, with tags in all three ways, and one without tags."""
    ids = {"cat": 1, "dog": 2}
    for index, (name, tags) in enumerate(TAGS.items()):
        flat(tmp_path / "images" / f"{name}.png", 10 * index)
        for folder in tags or ("background",):
            flat(tmp_path / "sorted" / folder / f"{name}.png", 10 * index)
        label_map(tmp_path / "labels" / f"{name}.png", [0, 0, *(ids[tag] for tag in tags)])
    flat(tmp_path / "images" / "q.png", 200)
    write_tags(tmp_path / "tags.csv", TAGS)
    (tmp_path / "train.txt").write_text("p3\np1\np2\n")
    return tmp_path


def opened(root, kind, **arguments):
    if kind == "folders":
        return TagFolder(root / "sorted", "folders", **arguments)
    return TagFolder(root, kind, **arguments)


def every(dataset):
    batches = [(images.numpy(), known["tags"].numpy(), known["labels"].numpy()) for images, known in dataset]
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


@pytest.mark.parametrize("kind", ["tags.csv", "folders", "labels"])
def test_every_source_gives_the_same_tags(root, kind):
    folder = opened(root, kind, class_names=("background", "cat", "dog"))
    assert folder.names == tuple(TAGS) and folder.class_names == ("background", "cat", "dog")
    assert folder.tags.dtype == np.float32 and folder.tags.tolist() == list(ROWS.values())
    assert (folder.channels, folder.dtype, folder.value_range) == (1, np.uint8, (0, 255))
    assert folder.unlabeled is None and folder.negatives is None
    image, labels = folder.load(3)
    assert (image == 30).all() and image.shape == (12, 16, 1)
    assert labels.dtype == np.uint8 and labels.shape == (12, 16) and (labels == UNLABELED).all()
    chosen = opened(root, kind, names=["p4", "p0"], class_names=("background", "cat", "dog"))
    assert chosen.names == ("p4", "p0") and chosen.tags.tolist() == [ROWS["p4"], ROWS["p0"]]


def test_names_of_classes(root):
    assert TagFolder(root).class_names == ("background", "cat", "dog")
    assert TagFolder(root / "sorted", "folders").class_names == ("background", "cat", "dog")
    assert TagFolder(root, "labels").class_names == ("0", "1", "2")
    for place in (root, root / "sorted"):
        (place / "classes.txt").write_text("background\ndog\ncat\n")
    for kind in ("tags.csv", "folders"):
        folder = opened(root, kind)
        assert folder.class_names == ("background", "dog", "cat")
        assert folder.tags.tolist() == [[one, dog, cat] for one, cat, dog in ROWS.values()]
    # Ids are ids, whatever the names.
    assert TagFolder(root, "labels").class_names == ("background", "dog", "cat")
    assert TagFolder(root, "labels").tags.tolist() == list(ROWS.values())
    (root / "sorted" / "classes.txt").write_text("dog\ncat\n")
    assert opened(root, "folders").class_names == ("background", "dog", "cat")


def test_lists_choose_and_keep_their_order(root):
    for kind in ("tags.csv", "labels"):
        folder = TagFolder(root, kind, split="train")
        assert folder.names == ("p3", "p1", "p2")
        assert folder.tags.tolist() == [ROWS[name] for name in folder.names]
        assert (folder.load(0)[0] == 30).all()
    assert TagFolder(root, names=root / "train.txt").names == ("p3", "p1", "p2")


@pytest.mark.parametrize("kind", ["tags.csv", "folders", "labels"])
def test_lists_may_have_the_extension(root, kind):
    for place in (root, root / "sorted"):
        (place / "few.txt").write_text("p3.png\np1\n")
    assert opened(root, kind, split="few").names == ("p3", "p1")


def test_names_in_the_file_may_have_their_extension(root):
    (root / "tags.csv").write_text("p1.png,dog\np0.jpg\nv1.2,cat\n")
    flat(root / "images" / "v1.2.png", 3)
    folder = TagFolder(root)
    assert folder.names == ("p0", "p1", "v1.2") and folder.tags[:, 2].tolist() == [0, 1, 0]
    (root / "tags.csv").write_text("p1.png,dog\np1\n")
    with pytest.raises(ValueError, match=r"tags.csv' must name each image once. Received: 'p1' twice"):
        TagFolder(root)


def test_a_header_of_unknown_words_is_no_image(root):
    (root / "tags.csv").write_text("Datei,Inhalt\np0,dog\np1,cat\n")
    for chosen in ({}, {"names": ("p0", "p1")}):
        with pytest.raises(
            ValueError, match=r"must begin with an image, or .* Received: 'Datei', which is not an image"
        ):
            TagFolder(root, **chosen)


@pytest.mark.parametrize("classes", [None, ("background", "cat", "dog", "zebra")])
def test_tags_of_images_elsewhere_may_stand_first(root, classes):
    header = "name,tags\n" if classes is None else ""
    (root / "tags.csv").write_text(f"{header}z,zebra\np0,dog\np1,cat\n")
    folder = TagFolder(root, names=("p0", "p1"), class_names=classes)
    assert folder.tags.tolist() == [[1, 0, 1, 0], [1, 1, 0, 0]]


def test_folders_without_a_background_and_beside_others(root, tmp_path_factory):
    place = root / "sorted"
    flat(place / "rooms" / "r.png", 99)
    assert TagFolder(place, "folders").class_names == ("background", "cat", "dog", "rooms")
    # What is not named is passed over, and what is named as negative is no class.
    named = TagFolder(place, "folders", class_names=("cat", "dog"))
    assert named.class_names == ("background", "cat", "dog") and named.names == tuple(TAGS)
    given = TagFolder(place, "folders", negatives="rooms")
    assert given.class_names == ("background", "cat", "dog") and given.names == ("p0", "p1", "p3", "p4", "r")
    assert given.tags[-1].tolist() == [1, 0, 0]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    flat(elsewhere / "s.png", 98)
    both = TagFolder(place, "folders", negatives=("background", elsewhere), class_names=["dog"])
    assert both.names == ("p0", "p1", "p2", "s") and both.tags[:, 1].tolist() == [1, 1, 0, 0]
    assert len(TagFolder(place, "folders", negatives=(), class_names=["dog"])) == 2


def test_specks_of_a_label_map_need_no_tag(root):
    label_map(root / "labels" / "p0.png", [1] * 2 + [2] * 50)
    label_map(root / "labels" / "p2.png", [1] * 5 + [PADDING] * 100)
    assert TagFolder(root, "labels").tags[[0, 2]].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert TagFolder(root, "labels", min_pixels=3).tags[[0, 2]].tolist() == [[1, 0, 1], [1, 1, 0]]
    # 5 of 92 pixels are in the image.
    assert TagFolder(root, "labels", min_pixels=0.05).tags[[0, 2]].tolist() == [[1, 0, 1], [1, 1, 0]]
    assert TagFolder(root, "labels", min_pixels=0.06).tags[[0, 2]].tolist() == [[1, 0, 1], [1, 0, 0]]
    _, labels = TagFolder(root, "labels").load(2)
    assert (labels == PADDING).sum() == 100 and (labels == UNLABELED).sum() == 92


def test_masks_of_other_values_are_what_they_are_said_to_mean(root):
    for path in (root / "labels").iterdir():
        labels = np.asarray(Image.open(path))
        Image.fromarray(np.choose(labels % 3, [0, 128, 200]).astype("uint8")).save(path)
    with pytest.raises(ValueError, match=r"labels' must be 0, 1, 2 … without a gap .* --values 0=background"):
        TagFolder(root, "labels")
    names = {0: "background", 128: "cat", 200: "dog"}
    for path in (root / "labels").iterdir():
        labels = np.asarray(Image.open(path)).copy()
        labels[6:] = 0
        Image.fromarray(labels).save(path)
    folder = TagFolder(root, "labels", values=names)
    assert folder.class_names == ("background", "cat", "dog") and folder.tags.shape == (5, 3)
    assert (folder.load(0)[1] == UNLABELED).all()
    with pytest.raises(ValueError, match=r"`values` has an effect on label maps only\. Received: values="):
        TagFolder(root, values=names)


def test_negatives_are_no_class_however_their_folder_is_typed(tmp_path, monkeypatch):
    for index, name in enumerate(("cat/a", "stra\u0308nde/b")):
        flat(tmp_path / "sorted" / f"{name}.png", index)
    monkeypatch.chdir(tmp_path)
    for root, negatives in (
        ("sorted", "str\u00e4nde"),
        ("sorted", str(tmp_path / "sorted" / "str\u00e4nde")),
        (tmp_path / "sorted", "stra\u0308nde"),
    ):
        folder = TagFolder(root, "folders", negatives=negatives)
        assert folder.class_names == ("background", "cat"), negatives
        assert folder.tags.tolist() == [[1, 1], [1, 0]]


def test_batches_carry_tags_beside_labels(root):
    dataset = TagFolder(root).train(2, (10, 8), mode="resize", shuffle=False)
    image, known = dataset.element_spec
    assert image.shape == (2, 10, 8, 1) and sorted(known) == ["labels", "tags"]
    assert known["tags"].shape == (2, 3) and known["tags"].dtype == "float32"
    assert known["labels"].shape == (2, 10, 8) and known["labels"].dtype == "uint8"
    assert dataset.cardinality() == 3
    images, tags, labels = every(dataset)
    assert tags.tolist() == [*ROWS.values(), ROWS["p0"]] and (labels == UNLABELED).all()
    assert np.round(images[:, 0, 0, 0]).tolist() == [0, 10, 20, 30, 40, 0]


def test_labels_tell_where_a_crop_leaves_the_image(root):
    images, tags, labels = every(TagFolder(root).train(5, 24, scale=(1, 1)))
    assert set(np.unique(labels).tolist()) == {PADDING, UNLABELED}
    assert ((labels == UNLABELED).sum(axis=(1, 2)) == 12 * 16).all()
    for image, tag, label in zip(images, tags, labels, strict=True):
        number = round(float(image[label == UNLABELED].mean()) / 10)
        assert tag.tolist() == ROWS[f"p{number}"]


@pytest.mark.parametrize("repeat", [False, True])
def test_the_seed_repeats_the_sequence_and_it_goes_on_where_it_stopped(root, repeat):
    folder = TagFolder(root)

    def run(seed=3, epochs=3, **arguments):
        dataset = folder.train(2, 8, color_jitter=0.3, seed=seed, repeat=repeat, **arguments)
        if repeat:
            return every(dataset.take(3 * epochs))
        return [np.concatenate(kind) for kind in zip(*(every(dataset) for _ in range(epochs)), strict=True)]

    first, again = run(), run()
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0], run(seed=4)[0])
    later = run(epochs=1, first_epoch=2)
    assert all(np.array_equal(one[12:], other) for one, other in zip(first, later, strict=True))


def test_validation_has_tags_too(root):
    flat(root / "images" / "p1.png", 10, (14, 10))
    batches = list(TagFolder(root).validation(2, pad_to_multiple=4))
    assert [known["tags"].numpy().tolist() for _, known in batches] == [
        [ROWS["p0"], ROWS["p1"]],
        [ROWS["p2"], ROWS["p3"]],
        [ROWS["p4"]],
    ]
    image, known = batches[0]
    labels = known["labels"].numpy()
    assert image.shape == (2, 16, 16, 1) and labels.shape == (2, 16, 16)
    assert [(one == UNLABELED).sum() for one in labels] == [12 * 16, 14 * 10]
    assert (labels[1, 14:] == PADDING).all() and (image.numpy()[labels == PADDING] == 127.5).all()


def test_a_classifier_is_fitted(root):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Dense(16, activation="relu")(keras.layers.Rescaling(1 / 20, -1)(inputs))
    scores = keras.layers.GlobalAveragePooling2D()(keras.layers.Dense(3, activation="sigmoid")(features))
    model = keras.Model(inputs, scores)
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", metrics=["binary_accuracy"])
    dataset = (
        TagFolder(root)
        .train(5, 8, mode="resize", repeat=True)
        .map(lambda image, known: (image, known["tags"]))
    )
    history = model.fit(dataset, steps_per_epoch=30, epochs=4, shuffle=False, verbose=0).history
    assert history["binary_accuracy"][-1] > 0.9


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "text"),
    [
        ("none.csv", {}, FileNotFoundError, r"The tags must be an existing file. Received: '.*none.csv'"),
        ("masks", {}, FileNotFoundError, "must have a folder 'masks'. Received: only images, labels, sorted"),
        (
            "tags.csv",
            {"names": ["q"]},
            FileNotFoundError,
            r"must have a line in the tags .* 'q', which has none",
        ),
        (
            "tags.csv",
            {"names": ["z"]},
            FileNotFoundError,
            r"`names` must have a file in '.*images'. .* 'z', which",
        ),
        (
            "folders",
            {"names": ["z"]},
            FileNotFoundError,
            r"file in '.*cat, .*dog, .*background'. Received: 'z', wh",
        ),
        (
            "labels",
            {"names": ["q"]},
            FileNotFoundError,
            r"must have a file in '.*labels'. Received: 'q', which",
        ),
        ("tags.csv", {"split": "val"}, FileNotFoundError, r"The list must be an existing file. .*val.txt"),
        ("tags.csv", {"split": "train", "names": ["p0"]}, ValueError, "must not both be given"),
        (
            "tags.csv",
            {"names": ["p2"]},
            ValueError,
            "tag other than the background. Received: none among 1 images",
        ),
        ("tags.csv", {"class_names": ("background", "cat")}, ValueError, "Received: 'dog' in line 2"),
        (
            "tags.csv",
            {"min_pixels": 2},
            ValueError,
            "`min_pixels` has an effect on label maps only. Received: min_pixels=2, tags",
        ),
        ("folders", {"min_pixels": 0.1}, ValueError, "Received: min_pixels=0.1, tags='folders'"),
        ("labels", {"min_pixels": 0}, ValueError, "Received: min_pixels=0"),
        (
            "labels",
            {"negatives": "x"},
            ValueError,
            "on folders of classes only. Received: negatives='x', tags='l",
        ),
        (
            "labels",
            {"class_names": ("a", "b")},
            ValueError,
            r"p0.png' must hold class ids 0 to 1, .*. Received: 2",
        ),
        (
            "folders",
            {"class_names": ("cat", "fox")},
            FileNotFoundError,
            "folder 'fox'. Received: only background",
        ),
        (
            "folders",
            {"class_names": ("background",)},
            FileNotFoundError,
            "a folder for each class. Received: none",
        ),
        ("folders", {"class_names": ("cat", "cat")}, ValueError, "`class_names` must be distinct names."),
        (
            "folders",
            {"class_names": "cat"},
            TypeError,
            "`class_names` must be a sequence of strings. Received: cl",
        ),
        ("folders", {"negatives": 3}, TypeError, "`negatives` must be a folder or a sequence of them"),
        (
            "tags.csv",
            {"color_mode": 3},
            ValueError,
            '`color_mode` must be None, "grayscale" or "rgb". Received: color_mode=3',
        ),
    ],
)
def test_arguments_are_checked(root, kind, arguments, error, text):
    with pytest.raises(error, match=text):
        opened(root, kind, **arguments)


def test_wrong_files_are_told(root):
    with pytest.raises(FileNotFoundError, match="`root` must be a folder. Received: root='.*nowhere'"):
        TagFolder(root / "nowhere", "folders")
    (root / "tags.csv").write_text("p0,dog\nz,cat\n")
    with pytest.raises(
        FileNotFoundError, match=r"of the tags '.*tags.csv' must have a file in .* Received: 'z'"
    ):
        TagFolder(root)
    label_map(root / "labels" / "p1.png", [1], (12, 15))
    with pytest.raises(ValueError, match=r"label map '.*p1.png' must be as large .*, 16x12. Received: 15x12"):
        TagFolder(root, "labels")
    flat(root / "sorted" / "cat" / "p1.png", 11)
    with pytest.raises(
        ValueError, match=r"the same name in several folders must be the same image. .*cat.p1.png'"
    ):
        TagFolder(root / "sorted", "folders")
    (root / "images" / "p0.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"The image '.*p0.png' must be an image file"):
        TagFolder(root, "labels")


def test_images_of_further_kinds_have_no_place_beside_tags(root):
    folder = TagFolder(root)
    with pytest.raises(ValueError, match="`negative_batch` needs images without object"):
        folder.train(4, 8, negative_batch=2)
    for name in ("unlabeled", "negatives"):
        folder = TagFolder(root)
        setattr(folder, name, TagFolder(root))
        for call in (
            lambda folder=folder: folder.train(4, 8),
            lambda folder=folder: folder.steps_per_epoch(4),
        ):
            with pytest.raises(ValueError, match=f"`{name}` must be None with `tags`, .* Received: 5 images"):
                call()


@pytest.mark.parametrize(("name", "channels"), [("camvid", 3), ("acdc", 1), ("horses", 3)])
def test_tags_of_real_label_maps(real_data, name, channels):
    names = (real_data / name / "train.txt").read_text().split()[::40]
    folder = TagFolder(real_data / name, "labels", names=names, min_pixels=0.01)
    assert folder.channels == channels and folder.tags.shape == (len(names), folder.num_classes)
    for index in (0, len(names) - 1):
        labels = read_label_map(real_data / name / "labels" / f"{names[index]}.png")
        assert (
            folder.tags[index].tolist()
            == tags_of_labels(labels, folder.num_classes, min_pixels=0.01).tolist()
        )
    images, known = next(iter(folder.train(4, 48, mode="resize")))
    assert images.shape == (4, 48, 48, channels) and images.numpy().std() > 5
    assert known["tags"].shape == (4, folder.num_classes) and (known["tags"].numpy()[:, 0] == 1).all()
