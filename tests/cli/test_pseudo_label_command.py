import json
import os
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import read_label_map, write_label_map, write_tags
from keras_wsseg.cli.main import main
from keras_wsseg.cli.segmenters import load_segmenter
from keras_wsseg.data import SegmentationFolder, TagFolder
from keras_wsseg.export import to_onnx
from keras_wsseg.layers import crf_preset
from keras_wsseg.training import RefinedSegmenter, RunFolder, TrainingConfig
from keras_wsseg.training.build import build_training_data

NAMES = ("background", "cat", "dog")
# No gray of 8 bits makes two classes equally likely.
WEIGHTS, OFFSETS = np.array([-4.0, 1.0, 5.0], np.float32), np.array([2.01, 1.0, -1.5], np.float32)
TAGS = {"p0": ("dog",), "p1": ("cat",), "p2": ("cat", "dog"), "p3": ()}
HOT = {"p0": [1, 0, 1], "p1": [1, 1, 0], "p2": [1, 1, 1], "p3": [1, 0, 0]}

pytestmark = pytest.mark.usefixtures("eagerly")


def pseudo_label(*argv):
    return main(["pseudo-label", *map(str, argv)])


def ramp(name):
    """A ramp of all grays, with noise that is its own."""
    noise = np.random.default_rng(int(name[1:])).integers(-40, 40, (12, 16))
    return np.clip(np.linspace(0, 255, 12 * 16).reshape(12, 16) + noise, 0, 255).astype(np.uint8)


def probabilities(name):
    """Of the segmenter, restricted to the tags of the image: float64, written out."""
    odds = np.exp(ramp(name)[..., None] / 255.0 * WEIGHTS.astype(float) + OFFSETS) * HOT[name]
    return odds / odds.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def net():
    layer = keras.layers.Conv2D(3, 1)
    net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Rescaling(1 / 255), layer])
    layer.set_weights([WEIGHTS.reshape(1, 1, 1, 3), OFFSETS])
    return net


@pytest.fixture(scope="module")
def make_run(net, tmp_path_factory):
    """A finished run folder of the net."""

    def make(names=NAMES, segmenter=net, recipe="scribbles", **changes):
        run = RunFolder(tmp_path_factory.mktemp("run"))
        run.begin(TrainingConfig.from_recipe(recipe, "elsewhere", {"validation": None, **changes}), names)
        run.write_segmenter(segmenter)
        return run.path

    return make


@pytest.fixture(scope="module")
def finished(make_run):
    return make_run()


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "pets"
    (root / "images").mkdir(parents=True)
    for name in (*TAGS, "q9"):
        Image.fromarray(ramp(name)).save(root / "images" / f"{name}.png")
    write_tags(root / "tags.csv", TAGS)
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def labels_in(folder):
    return {path.stem: read_label_map(path) for path in sorted(folder.iterdir()) if path.is_file()}


def test_labels_are_the_likeliest_of_the_tags(finished, data, capsys):
    assert pseudo_label(finished, data, "--confidence", "0.7") == 0
    said = capsys.readouterr().out
    found = labels_in(data / "pseudo")
    assert list(found) == list(TAGS)
    for name, labels in found.items():
        expected = probabilities(name)
        sure = expected.max(-1)
        # A rounding error must not decide the comparison.
        assert np.abs(sure - 0.7).min() > 1e-6
        np.testing.assert_array_equal(labels, np.where(sure < 0.7, 255, expected.argmax(-1)))
    # The images are such that each part of the rule shows.
    assert set(np.unique(found["p0"])) == {0, 2, 255} and set(np.unique(found["p1"])) == {0, 1, 255}
    assert set(np.unique(found["p2"])) == {0, 2, 255} and set(np.unique(found["p3"])) == {0}
    left = 100 * np.mean([labels == 255 for labels in found.values()])
    assert f"4 of 4 label maps in {data / 'pseudo'}; {left:.1f} % of the pixels unlabeled\n" in said
    words = "--data.annotation pseudo --loss none --segmenter DeepLabV3Plus --out runs/pets-pseudo\n"
    assert f"train {data} {words}" in said
    assert said.endswith(words) and "classes.txt" not in said and "train.txt" not in said


def test_every_pixel_has_a_label_unless_asked_otherwise(finished, data):
    assert pseudo_label(finished, data) == 0
    for name, labels in labels_in(data / "pseudo").items():
        np.testing.assert_array_equal(labels, probabilities(name).argmax(-1))
    # Without tags, the image of a cat would have a dog in it.
    assert load_segmenter(finished)(ramp("p1")[..., None]).max() == 2


@pytest.mark.parametrize("kind", ["windowed", "dense"])
def test_a_crf_sees_the_tagged_classes_alone(finished, data, kind):
    settings = ["--crf-sigma-xy", "4", "--crf-coupling", "2", "--crf-iterations", "3"]
    assert pseudo_label(finished, data, "--crf", kind, *settings, "--confidence", "0.6") == 0
    changed = 0
    for name, labels in labels_in(data / "pseudo").items():
        restricted = types.SimpleNamespace(probabilities=lambda _, name=name: np.float32(probabilities(name)))
        crf = crf_preset(kind, (0, 255), sigma_xy=4.0, coupling=2.0, iterations=3)
        expected = RefinedSegmenter(restricted, crf).probabilities(ramp(name)[..., None])
        sure = expected.max(-1)
        expected = np.where(sure < 0.6, 255, expected.argmax(-1))
        clear = np.abs(sure - 0.6) > 1e-3
        np.testing.assert_array_equal(labels[clear], expected[clear])
        assert clear.mean() > 0.95 and set(np.unique(labels)) <= {255, *np.flatnonzero(HOT[name])}
        changed += np.sum(labels != probabilities(name).argmax(-1))
    assert changed


def test_a_net_that_is_sure_of_an_absent_class_leaves_no_nan(make_run, data):
    layer = keras.layers.Conv2D(3, 1)
    sure = keras.Sequential([keras.Input((None, None, 1)), layer])
    layer.set_weights([np.zeros((1, 1, 1, 3)), np.array([0.0, 400.0, 0.0])])
    assert pseudo_label(make_run(segmenter=sure), data, "--confidence", "0.6") == 0
    found = labels_in(data / "pseudo")
    # Nothing speaks for one of the two that p0 may hold.
    assert (found["p0"] == 255).all() and (found["p1"] == 1).all() and (found["p3"] == 0).all()


def test_what_lies_outside_stays_outside(finished, data, capsys):
    (data / "masks").mkdir()
    for name, tags in HOT.items():
        mask = np.full((12, 16), 255)
        mask[0, :3], mask[1:, 10:] = np.flatnonzero(tags)[np.arange(3) % sum(tags)], 254
        write_label_map(data / "masks" / f"{name}.png", mask)
    (data / "classes.txt").unlink()
    assert pseudo_label(finished, data, "--tags", "masks", "--confidence", "0.7") == 0
    inside = np.ones((12, 16), bool)
    inside[1:, 10:] = False
    left = []
    for name, labels in labels_in(data / "pseudo").items():
        expected = np.where(probabilities(name).max(-1) < 0.7, 255, probabilities(name).argmax(-1))
        np.testing.assert_array_equal(labels, np.where(inside, expected, 254))
        left.append((labels == 255)[inside].mean())
    said = capsys.readouterr().out
    assert f"{100 * np.mean(left):.1f} % of the pixels unlabeled" in said
    names = "background, cat, dog"
    assert f"no classes.txt in {data}: make one of these names, one a line: {names}\n" in said


def test_a_run_folder_says_which_tags_and_images(make_run, data, capsys):
    os.rename(data / "tags.csv", data / "known.csv")
    (data / "some.txt").write_text("p2\np0\n")
    run = make_run(recipe="tags", **{"data.tags": "known.csv", "data.split": "some"})
    assert pseudo_label(run, data) == 0
    assert list(labels_in(data / "pseudo")) == ["p0", "p2"]
    assert "--segmenter DeepLabV3Plus --data.split some --out runs/pets-pseudo" in capsys.readouterr().out
    (data / "val.txt").write_text("p1\n")
    assert pseudo_label(run, data, "--split", "none", "--out", "all") == 0
    assert list(labels_in(data / "all")) == list(TAGS)
    assert "--segmenter DeepLabV3Plus --data.split none --out runs/pets-all" in capsys.readouterr().out
    (data / "some.txt").unlink()
    assert pseudo_label(run, data, "--out", "others") == 0
    assert list(labels_in(data / "others")) == list(TAGS)


@pytest.mark.parametrize("tags", ["known.csv", "tags.csv"])
def test_a_run_folder_of_the_first_version_says_it_too(make_run, data, tags):
    os.rename(data / "tags.csv", data / tags)
    (data / "some.txt").write_text("p2\np0\n")
    run = make_run()
    flat = {"method": "rrm", "tags": tags, "train_split": "some", "val_split": None, "values": []}
    (run / "config.json").write_text(json.dumps(flat))
    assert pseudo_label(run, data) == 0
    assert list(labels_in(data / "pseudo")) == ["p0", "p2"]


def test_files_of_segmenters_know_no_defaults(net, finished, data, tmp_path):
    (data / "train.txt").write_text("p1\np0\n")
    net.save(tmp_path / "net.keras")
    # Nobody named the classes of this file.
    assert pseudo_label(tmp_path / "net.keras", data) == 0
    found = labels_in(data / "pseudo")
    assert list(found) == ["p0", "p1"]
    to_onnx(net, tmp_path / "net.onnx", class_names=NAMES)
    code = """
import sys
from keras_wsseg.cli.main import main
assert main(sys.argv[1:]) == 0
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    words = ["pseudo-label", str(tmp_path / "net.onnx"), str(data), "--out", str(tmp_path / "by-onnx")]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    again = labels_in(tmp_path / "by-onnx")
    assert list(again) == list(found)
    for name, labels in again.items():
        np.testing.assert_array_equal(labels, found[name])


def test_a_second_training_reads_them(finished, data, tiny, tmp_path):
    assert pseudo_label(finished, data, "--confidence", "0.7") == 0
    changes = {"data.annotation": "pseudo", "loss": None, "data.split": None, "validation": None}
    config = TrainingConfig.from_recipe("scribbles", data, changes)
    second = build_training_data(config)
    assert second.class_names == NAMES and second.names == tuple(TAGS)
    for index, name in enumerate(second.names):
        image, labels = second.load(index)
        np.testing.assert_array_equal(image[..., 0], ramp(name))
        np.testing.assert_array_equal(labels, read_label_map(data / "pseudo" / f"{name}.png"))
    words = ["--data.annotation", "pseudo", "--loss", "none", "--out", str(tmp_path / "second"), *tiny]
    assert main(["train", str(data), *words]) == 0
    assert RunFolder(tmp_path / "second").finished


@pytest.fixture
def sorted_images(tmp_path):
    """The same images, each in the folders of its classes."""
    root = tmp_path / "sorted"
    for name, tags in TAGS.items():
        for folder in tags or ("background",):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(ramp(name)).save(root / folder / f"{name}.png")
    return root


def test_class_folders_become_a_data_folder(finished, sorted_images, tmp_path, capsys):
    words = ["--tags", "folders", "--out", "../second", "--confidence", "0.7"]
    assert pseudo_label(finished, sorted_images, *words) == 0
    out = sorted_images / ".." / "second"
    assert f"train {out} --data.annotation pseudo --loss none" in capsys.readouterr().out
    second = SegmentationFolder(tmp_path / "second", annotation="pseudo")
    assert second.names == tuple(TAGS) and second.class_names == NAMES
    for index, name in enumerate(second.names):
        image, labels = second.load(index)
        np.testing.assert_array_equal(image[..., 0], ramp(name))
        expected = probabilities(name)
        np.testing.assert_array_equal(labels, np.where(expected.max(-1) < 0.7, 255, expected.argmax(-1)))
    assert pseudo_label(finished, sorted_images, *words, "--force") == 0


def test_class_folders_are_found_in_either_form_of_their_letters(make_run, sorted_images):
    (sorted_images / "cat").rename(sorted_images / "ka\u0308tzchen")
    (sorted_images / "classes.txt").write_text("background\nk\u00e4tzchen\ndog\n")
    (sorted_images / "__MACOSX").mkdir()
    run = make_run(("background", "ka\u0308tzchen", "dog"))
    assert pseudo_label(run, sorted_images, "--tags", "folders", "--out", "../second") == 0
    second = SegmentationFolder(sorted_images / ".." / "second", annotation="pseudo")
    assert second.names == tuple(TAGS) and second.class_names == ("background", "k\u00e4tzchen", "dog")


def test_class_folders_are_not_written_into(fails, finished, sorted_images):
    for out in ("pseudo", "cat/deeper", str(sorted_images / "pseudo")):
        assert fails("pseudo-label", finished, sorted_images, "--tags", "folders", "--out", out) == (
            "--out must lie outside of a DATA in which each folder is a class, as ../NAME or an absolute "
            f"path does. Received: {out!r}"
        )
    assert sorted(path.name for path in sorted_images.iterdir()) == ["background", "cat", "dog"]


def test_a_image_need_not_show_every_class(finished, data, fails):
    (data / "classes.txt").unlink()
    write_tags(data / "tags.csv", {"p0": ("dog",), "p3": ()})
    assert pseudo_label(finished, data) == 0
    for name, labels in labels_in(data / "pseudo").items():
        np.testing.assert_array_equal(labels, probabilities(name).argmax(-1))
    assert list(labels_in(data / "pseudo")) == ["p0", "p3"]


def test_classes_must_be_those_of_the_segmenter(fails, finished, net, data, tmp_path):
    text = "The classes of the tags must be those of the segmenter, background, cat, dog. Received: "
    (data / "classes.txt").write_text("background\ndog\ncat\n")
    assert fails("pseudo-label", finished, data) == text + "background, dog, cat"
    (data / "classes.txt").unlink()
    write_tags(data / "tags.csv", {"p0": ("dog",), "p1": ("bird",)})
    assert fails("pseudo-label", finished, data) == text + "background, bird, dog"
    net.save(tmp_path / "net.keras")
    write_tags(data / "tags.csv", {"p0": ("dog",)})
    assert fails("pseudo-label", tmp_path / "net.keras", data) == (
        "The classes of the tags must be those of the segmenter, class 0, class 1, class 2. "
        "Received: background, dog"
    )
    assert not (data / "pseudo").exists()


@pytest.mark.parametrize("tags", ["tags.csv", "masks", "folders"])
def test_a_bad_image_stops_no_other(finished, data, sorted_images, tags, tmp_path, capsys):
    (data / "masks").mkdir()
    for name, present in HOT.items():
        mask = np.resize(np.flatnonzero(present), (12, 16))
        write_label_map(data / "masks" / f"{name}.png", mask)
    root = sorted_images if tags == "folders" else data
    folders = {"p0": "dog", "p3": "background"} if tags == "folders" else dict.fromkeys(TAGS, "images")
    bad, deep = (root / folders[name] / f"{name}.png" for name in ("p0", "p3"))
    bad.write_text("no image")
    Image.fromarray(np.full((12, 16), 40_000, np.uint16)).save(deep)
    out = tmp_path / "out"
    assert pseudo_label(finished, root, "--tags", tags, "--out", out) == 1
    said = capsys.readouterr()
    maps = out / "pseudo" if tags == "folders" else out
    assert f"2 of 4 label maps in {maps};" in said.out and "Next, train on them:" in said.out
    assert list(labels_in(maps)) == ["p1", "p2"]
    first, second = said.err.splitlines()
    assert first.startswith(f"keras-wsseg: not labeled: {bad}: The image '{bad}' must be ")
    assert second.startswith(f"keras-wsseg: not labeled: {deep}: ") and "to 40000" in second


def test_a_failing_segmenter_is_told_of_each_image(finished, data, monkeypatch, capsys):
    load = TagFolder.load

    def failing(self, index):
        if self.names[index] == "p1":
            raise MemoryError("not enough\n memory")
        return load(self, index)

    monkeypatch.setattr(TagFolder, "load", failing)
    (data / "train.txt").write_text("\n".join(TAGS))
    assert pseudo_label(finished, data) == 1
    said = capsys.readouterr()
    assert "3 of 4 label maps in" in said.out
    # A training reads every name of its list.
    assert "\ntrain.txt names images without label map: take them out of it before you train.\n" in said.out
    path = data / "images" / "p1.png"
    assert said.err == f"keras-wsseg: not labeled: {path}: not enough memory\n"


def test_nothing_is_overwritten_unasked(fails, finished, data):
    assert pseudo_label(finished, data) == 0
    before = labels_in(data / "pseudo")
    assert fails("pseudo-label", finished, data, "--confidence", "0.9") == (
        f"There are files in '{data / 'pseudo'}' already: choose another --out, "
        "or add --force to replace them."
    )
    assert all((labels_in(data / "pseudo")[name] == labels).all() for name, labels in before.items())
    assert pseudo_label(finished, data, "--confidence", "0.9", "--force") == 0
    assert (labels_in(data / "pseudo")["p0"] == 255).any() and not (before["p0"] == 255).any()
    assert sorted(path.name for path in (data / "pseudo").iterdir()) == [f"{name}.png" for name in TAGS]


@pytest.mark.parametrize("out", [".", "images", "labels", "masks", "pseudo/../images"])
def test_sources_are_never_written_to(fails, finished, data, out):
    text = "--out must be another folder than those of images, annotations and dense labels."
    said = fails("pseudo-label", finished, data, "--tags", "masks", "--out", out, "--force")
    assert said == f"{text} Received: {out!r}"


def test_wrong_words_are_told(fails, finished, data, tmp_path):
    run = ("pseudo-label", finished, data)
    assert fails(*run, "--confidence", "1.5") == "--confidence must be from 0 to 1. Received: 1.5"
    assert fails(*run, "--confidence", "nan") == "--confidence must be from 0 to 1. Received: nan"
    assert fails(*run, "--crf-sigma-xy", "3") == (
        "--crf-sigma-xy needs --crf windowed or --crf dense. Received: --crf none"
    )
    assert "The tags must be an existing file." in fails(*run, "--tags", "no.csv")
    assert "must have a folder 'no'" in fails(*run, "--tags", "no")
    assert f"The list must be an existing file. Received: '{data / 'no.txt'}'" == fails(*run, "--split", "no")
    assert "DATA must be a folder with images/" in fails("pseudo-label", finished, tmp_path / "none")
    assert "There must be a run folder or file" in fails("pseudo-label", tmp_path / "none", data)
    (data / "file").touch()
    assert "--out must be a folder." in fails(*run, "--out", "file")
    for path in (data / "images").iterdir():
        path.write_text("no image")
    assert fails(*run).startswith("None of the 4 images can be labeled, the first since: The image '")
    assert not (data / "pseudo").exists()
