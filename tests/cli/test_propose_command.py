import sys

import numpy as np
import pytest

from keras_wsseg.annotations import grabcut_proposals, read_label_map, write_label_map
from keras_wsseg.cli.main import main
from keras_wsseg.data import SegmentationFolder
from keras_wsseg.training import RunFolder

pytestmark = pytest.mark.usefixtures("eagerly")


def propose(*argv):
    return main(["propose", *map(str, argv)])


@pytest.fixture
def data(make_folder, tmp_path):
    """A folder of its own, since the command writes into it."""
    return make_folder(tmp_path / "shapes")


def test_every_annotated_image_gets_its_proposal(data, capsys):
    assert propose(data) == 0
    said = capsys.readouterr().out
    folder = SegmentationFolder(data, annotation="scribbles")
    assert sorted(path.name for path in (data / "grabcut").iterdir()) == [f"{n}.png" for n in folder.names]
    left = []
    for index, name in enumerate(folder.names):
        found = read_label_map(data / "grabcut" / f"{name}.png")
        np.testing.assert_array_equal(found, grabcut_proposals(*folder.load(index)))
        left.append(np.mean(found == 255))
    assert f"6 proposals in {data / 'grabcut'}; {100 * np.mean(left):.1f} % of the pixels unlabeled" in said
    assert f"train {data} --data.annotation grabcut --loss none --out runs/shapes-grabcut" in said


def test_options_reach_the_proposal(data):
    words = ["--split", "val", "--unclaimed", "0", "--iterations", "1", "--seed", "3", "--out", "other"]
    assert propose(data, "--annotation", "simulated_clicks", *words) == 0
    folder = SegmentationFolder(data, annotation="simulated_clicks", split="val")
    assert {path.stem for path in (data / "other").iterdir()} == set(folder.names)
    for index, name in enumerate(folder.names):
        expected = grabcut_proposals(*folder.load(index), iterations=1, unclaimed=0, seed=3)
        np.testing.assert_array_equal(read_label_map(data / "other" / f"{name}.png"), expected)


def test_a_training_takes_them_from_anywhere(data, tmp_path, tiny):
    elsewhere = tmp_path / "elsewhere"
    assert propose(data, "--out", elsewhere) == 0
    assert not (data / "grabcut").exists()
    words = ["--data.annotation", str(elsewhere), "--loss", "none", "--out", str(tmp_path / "run"), *tiny]
    assert main(["train", str(data), *words]) == 0
    assert RunFolder(tmp_path / "run").finished


def test_nothing_is_overwritten_unasked(fails, data, capsys):
    (data / "grabcut").mkdir()
    write_label_map(data / "grabcut" / "p0.png", np.full((32, 32), 1))
    before = (data / "grabcut" / "p0.png").read_bytes()
    assert fails("propose", data) == (
        f"There are files in '{data / 'grabcut'}' already: choose another --out, "
        "or add --force to replace them."
    )
    assert [path.read_bytes() for path in (data / "grabcut").iterdir()] == [before]
    assert propose(data, "--force") == 0
    assert len(list((data / "grabcut").iterdir())) == 6
    assert (data / "grabcut" / "p0.png").read_bytes() != before


@pytest.mark.parametrize("name", [".", "images", "labels", "scribbles", "grabcut/../labels"])
def test_sources_are_never_written_to(fails, data, name):
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    text = "--out must be another folder than those of images, annotations and dense labels."
    assert fails("propose", data, "--out", name, "--force") == f"{text} Received: {name!r}"
    assert {path: path.read_bytes() for path in data.rglob("*.png")} == before


def test_wrong_words_are_told(fails, data, tmp_path):
    assert "DATA must be a folder" in fails("propose", tmp_path / "none")
    assert "must have a folder 'dots'" in fails("propose", data, "--annotation", "dots")
    assert fails("propose", data, "--unclaimed", "2") == (
        "--unclaimed must be 255 or the id of one of the 2 classes. Received: 2"
    )
    assert "`iterations` must be an integer of at least 1" in fails("propose", data, "--iterations", "0")
    (tmp_path / "file").touch()
    assert "--out must be a folder" in fails("propose", data, "--out", tmp_path / "file")


def test_a_missing_opencv_is_told(fails, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "install keras-wsseg with its extra [grabcut]" in fails("propose", data)


def test_instances_reach_the_clicks_and_are_not_written_over(data, monkeypatch, capsys):
    import keras_wsseg.annotations

    seen = []
    monkeypatch.setattr(
        keras_wsseg.annotations,
        "grabcut_proposals",
        lambda image, labels, *rest: seen.append((labels < 254).sum()) or labels,
    )
    for path in (data / "labels").iterdir():
        labels = read_label_map(path)
        (data / "instances").mkdir(exist_ok=True)
        # Each half of a thing by itself.
        numbers = np.where(labels > 0, 1 + (np.arange(labels.shape[1]) >= labels.shape[1] // 2), 0)
        write_label_map(data / "instances" / path.name, numbers)
    words = ["--annotation", "simulated_clicks", "--split", "val"]
    assert propose(data, *words, "--out", "plain") == 0
    plain, seen[:] = sum(seen), []
    assert propose(data, *words, "--instances", "instances", "--out", "apart") == 0
    assert sum(seen) > plain
    assert propose(data, *words, "--instances", "instances", "--out", "instances", "--force") == 2
    assert "--out must be another folder" in capsys.readouterr().err
    assert propose(data, "--instances", "instances", "--out", "again") == 2
    assert "`instances` has an effect on simulated_clicks only" in capsys.readouterr().err
