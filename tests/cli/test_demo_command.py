import pytest
from PIL import Image

from keras_wsseg.annotations import read_label_map
from keras_wsseg.cli import console, demo
from keras_wsseg.cli.main import main
from keras_wsseg.cli.options import parse_changes, take_changes
from keras_wsseg.data import SegmentationFolder
from keras_wsseg.training import TrainingConfig


@pytest.fixture
def short(monkeypatch):
    """The demo with few images and steps."""
    monkeypatch.setattr(demo, "_TRAINING", 4)
    monkeypatch.setattr(demo, "_VALIDATION", 3)
    tiny = {
        "segmenter.filters": (4, 8),
        "steps": 2,
        "batch_size": 2,
        "image_size": 32,
        "steps_per_epoch": 1,
        "warm_up.delay_steps": 1,
        "warm_up.ramp_steps": 1,
    }
    monkeypatch.setattr(demo, "_CHANGES", tiny)


def test_demo_goes_the_whole_way_and_makes_room_for_another(short, tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "pCE + gated CRF" in said and "mean IoU in points of 100" in said
    assert "as in Keras to" in said and str(out / "comparison.png") in said
    (typed,) = (line for line in said.splitlines() if "--out runs/shapes" in line)
    assert typed.startswith(f"  {console.own_command()} train {out / 'data'} --out runs/shapes")
    # What it says to type is a training, in the words of today, like the second one that it has done.
    changes = parse_changes(take_changes(typed.split())[1])
    config = TrainingConfig.from_recipe("scribbles", out / "data", changes)
    done = TrainingConfig.read(out / "runs" / "gated-crf" / "config.json")
    assert config.loss == done.loss and config.image_size == demo._SIZE
    assert said.splitlines()[-1] == f"  {console.own_command()} train YOUR_FOLDER --out runs/first"
    data = SegmentationFolder(out / "data", split="train")
    assert len(data) == 4 and data.class_names == ("background", "ellipse", "polygon", "ring")
    assert len(SegmentationFolder(out / "data", "labels", split="val")) == 3
    assert sorted(path.name for path in (out / "masks").iterdir()) == [
        "image04.png",
        "image05.png",
        "image06.png",
    ]
    assert read_label_map(out / "masks" / "image04.png").max() < 4
    sheet = Image.open(out / "comparison.png")
    assert sheet.width > 5 * 288 and sheet.height > 3 * 288

    (out / "mine.txt").write_text("keep me")
    demo.Demo(out).make_room()
    assert sorted(path.name for path in out.iterdir()) == ["README.txt", "mine.txt"]


def test_demo_leaves_other_folders_alone(fails, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert fails("demo", "--out", tmp_path) == (
        f"The folder '{tmp_path}' was not made by this demo: choose another one with --out."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert "is a file: choose another folder" in fails("demo", "--out", tmp_path / "thesis.txt")
    assert (
        fails("demo", "--out", tmp_path / "new", "--seed", "-1") == "--seed must be at least 0. Received: -1"
    )
    assert not (tmp_path / "new").exists()
