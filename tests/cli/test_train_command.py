import csv
import json
import shutil

import keras
import numpy as np
import pytest

from keras_wsseg.callbacks import PredictionImages
from keras_wsseg.cli import console
from keras_wsseg.cli.main import main
from keras_wsseg.training import RunFolder, TrainingConfig

pytestmark = pytest.mark.usefixtures("eagerly")


def test_a_training_leaves_a_run_folder(trained, folder):
    run = RunFolder(trained)
    assert run.finished and run.read_class_names() == ("background", "ellipse")
    config = TrainingConfig.read(run.config)
    assert (
        config.root == str(folder) and config.segmenter["config"]["filters"] == [4, 8] and config.steps == 4
    )
    assert config.terms == ["PartialCrossEntropy", "GatedCRFLoss"]
    assert (config.data["config"]["split"], config.validation["config"]["split"]) == ("train", "val")
    assert [path.name for path in sorted(run.images.iterdir())] == ["epoch_0001.png", "epoch_0002.png"]


def test_every_kind_of_option_arrives(folder, tmp_path, tiny, capsys):
    options = ["--no-flip", "--loss.gate_source", "no", "--loss.class_weights", "batch", "--scale=0.5,1"]
    options += ["--validation", "none", "--optimizer.learning-rate", "0.01", "--images_every", "0"]
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *tiny, *options]) == 0
    config = TrainingConfig.read(tmp_path / "run" / "config.json")
    first, last = (term["config"] for term in config.loss)
    assert (config.flip, config.tensorboard, config.scale) == (False, False, (0.5, 1))
    assert (last["gate_source"], first["class_weights"], config.validation) == (False, "batch", None)
    assert config.optimizer["config"]["learning_rate"] == 0.01
    said = capsys.readouterr().out
    assert "IoU" not in said and "Images" not in said


def test_afterwards_it_shows_scores_and_what_to_type_next(trained, folder, capsys):
    assert main(["train", str(folder), "--out", str(trained), "--resume"]) == 0
    said = capsys.readouterr().out
    assert "is finished already." in said
    assert "ellipse" in said and "IoU" in said and "mean" in said
    assert said.rstrip().endswith(f"{console.own_command()} export {trained} first.onnx")


def test_lists_may_begin_with_a_negative_number(folder, tmp_path, tiny):
    words = ["--data.value_range", "-1,1", "--loss", "none"]
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *tiny, *words]) == 0
    config = TrainingConfig.read(RunFolder(tmp_path / "run").config)
    assert config.data["config"]["value_range"] == [-1, 1]


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_recipe_of_ones_own(folder, tmp_path, tiny, trained, ending, capsys):
    """What `recipes` prints, changed by hand, or the configuration of a finished training."""
    recipe = trained / "config.json"
    if ending == "toml":
        recipe = tmp_path / "mine.toml"
        assert main(["recipes", "full"]) == 0
        recipe.write_text(capsys.readouterr().out.replace("steps = 400", "steps = 2"))
    words = [
        "--recipe",
        str(recipe),
        "--segmenter.filters",
        "4,8",
        "--image_size",
        "32",
        "--images_every",
        "0",
    ]
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *words]) == 0
    config = TrainingConfig.read(tmp_path / "run" / "config.json")
    if ending == "json":
        assert config == TrainingConfig.read(recipe).replace({"images_every": 0})
    else:
        assert (config.steps, config.terms) == (2, ["PartialCrossEntropy"])


def test_ctrl_c_says_how_to_go_on(folder, tmp_path, tiny, monkeypatch, fails, capsys):
    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    out = tmp_path / "my run"
    with monkeypatch.context() as patch:
        patch.setattr(PredictionImages, "on_epoch_end", interrupt)
        status = main(["train", str(folder), "--out", str(out), *tiny])
    assert status == 130
    assert capsys.readouterr().err == (
        f"\nkeras-wsseg: interrupted; go on with: keras-wsseg train {folder} --out '{out}' --resume\n"
    )
    assert RunFolder(out).completed_epochs() == 1
    assert fails("train", folder, "--out", out, *tiny) == (
        f"There is a training in '{out}' already: resume it (--resume), or choose another folder."
    )
    assert fails("train", folder, "--out", out, "--resume", "--steps", 9, "--loss.weight", 3) == (
        f"The training in '{out}' was begun with other values of loss.gated_crf.weight, steps."
    )
    assert main(["train", str(folder), "--out", str(out), "--resume"]) == 0
    assert RunFolder(out).finished
    assert len(RunFolder(out).log.read_text().splitlines()) == 3


def test_ctrl_c_before_anything_is_written(folder, tmp_path, tiny, monkeypatch, capsys):
    from keras_wsseg.training import build

    def interrupt(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "build_training_data", interrupt)
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *tiny]) == 130
    assert "nothing was written yet, so type the same command again" in capsys.readouterr().err


def test_without_lists_and_labels_it_trains_without_scores(make_folder, tmp_path, tiny, capsys):
    data = make_folder(tmp_path / "data", lists=False)
    shutil.rmtree(data / "labels")
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *tiny, "--loss", "none"]) == 0
    said = capsys.readouterr().out
    assert f"There is no val.txt in {data}: training without scores." in said
    assert f"There is no train.txt in {data}: training on every image." in said
    run = RunFolder(tmp_path / "run")
    assert run.finished and run.read_scores() is None
    assert json.loads(run.config.read_text())["validation"] is None


def test_a_list_without_labels_is_no_reason_to_stop(make_folder, tmp_path, tiny):
    from keras_wsseg.cli.data_folder import config_for

    data = make_folder(tmp_path / "data")
    shutil.rmtree(data / "labels")
    config, notes = config_for(data, "scribbles", {})
    assert config.validation is None and config.data["config"]["split"] == "train"
    assert notes == [f"There is no labels/ in {data}: training without scores."]
    given, notes = config_for(data, "scribbles", {"validation.split": "val"})
    assert given.validation["config"]["split"] == "val" and notes == []


@pytest.fixture
def broken(make_folder, tmp_path):
    return make_folder(tmp_path / "broken")


def test_wrong_folders_are_told(fails, tmp_path, broken):
    out = tmp_path / "run"
    assert fails("train", tmp_path / "no", "--out", out) == (
        f"DATA must be a folder with images/ and annotations. Received: '{tmp_path / 'no'}'"
    )
    assert fails("train", tmp_path, "--out", out).startswith("DATA must have a folder images/ in it.")
    assert "must have a folder 'clicks'" in fails(
        "train", broken, "--out", out, "--data.annotation", "clicks"
    )
    (broken / "train.txt").unlink()
    assert "has a val.txt and must have a train.txt too" in fails("train", broken, "--out", out)
    assert not out.exists()


def test_wrong_files_are_told(fails, tmp_path, broken):
    out = tmp_path / "run"
    (broken / "train.txt").write_text("p0\nnobody\n")
    assert "Received: 'nobody', which has none" in fails("train", broken, "--out", out)
    (broken / "train.txt").write_text("p0\n")
    (broken / "classes.txt").write_text("background\n")
    assert "p0.png" in fails("train", broken, "--out", out)
    (broken / "classes.txt").unlink()
    (broken / "images" / "p0.png").write_bytes(b"\x89PNG and then nothing")
    assert "p0.png' must be an image file" in fails("train", broken, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--steps many", "`steps` must be an integer of at least 1. Received: steps='many'"),
        ("--steps", "--steps must be followed by a value. Received: none"),
        ("--loss magic", "loss must be one of ADMLoss, "),
        (
            "--recipe magic",
            "recipe must be one of clicks, full, rrm, scribbles, single-class, tags, or a .toml",
        ),
        ("--recipe magic.toml", "The recipe must be an existing file. Received: 'magic.toml'"),
        ("--image_size 2", "`image_size` must be an integer of at least 8. Received: image_size=2"),
        ("--data.click_size 3", "`click_size`"),
        ("--group_by p", "group_by must have a group in parentheses. Received: group_by='p'"),
        ("--loss.radius 0", "`radius` must be an integer of at least 1. Received: radius=0"),
        ("--loss.radios 3", "PartialCrossEntropy + GatedCRFLoss has no argument of that name, but radius."),
        ("--segmenter.filters 4,x", "`filters` must be an integer of at least 1. Received: filters='x'"),
        ("--optimizer.momentun 3", "optimizer must be what Adam takes: "),
        ("--data.root x", "data.root is the folder DATA, and no option. Received: 'x'"),
        ("--method pce", "unrecognized arguments: --method pce (see keras-wsseg train --help)"),
        ("--no-steps 3", "unrecognized arguments: --no-steps 3 (see keras-wsseg train --help)"),
        ("--scale 1", "scale must be two numbers above 0, the smaller first. Received: scale=1"),
        ("--validation.split nowhere", "The list must be an existing file."),
        ("--recipe tags", "The tags must be an existing file."),
    ],
)
def test_wrong_options_are_told(fails, folder, tmp_path, options, text):
    assert fails("train", folder, "--out", tmp_path / "run", *options.split()).startswith(text)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        ("steps = 3", "loss must have at least one term. Received: none"),
        ("steps = ", "The recipe '{path}' cannot be read: "),
        ("stepz = 3", "The recipe {path} has no argument of that name, but steps. Received: stepz"),
        ('loss = "CRF"', "loss must be one of ADMLoss, "),
        (
            "loss = 3",
            "A part must be a class by its name, or a table of class_name and arguments. Received: 3",
        ),
        (
            'loss = "GatedCRFLoss"\n[data]\nannotatoin = "x"',
            "SegmentationFolder has no argument of that name, but annotation.",
        ),
        ("[loss]\nradius = 3", "loss must be one of ADMLoss, "),
    ],
)
def test_wrong_recipes_are_told(fails, folder, tmp_path, recipe, text):
    path = tmp_path / "mine.toml"
    path.write_text(recipe)
    said = fails("train", folder, "--out", tmp_path / "run", "--recipe", path)
    assert said.startswith(text.format(path=path))
    assert not (tmp_path / "run").exists()


def test_a_training_of_the_first_version_is_not_resumed(fails, folder, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    flat = {"method": "pce", "tags": "tags.csv", "train_split": None, "val_split": "val", "values": []}
    (run / "config.json").write_text(json.dumps(flat))
    assert fails("train", folder, "--out", run, "--resume") == (
        "A training that version 0.1 began cannot be resumed, though its segmenter can be used. "
        f"Received: '{run / 'config.json'}'"
    )
    assert main(["evaluate", str(run), str(folder)]) == 0
    assert main(["export", str(run), str(tmp_path / "a.onnx")]) == 0


def test_resuming_needs_a_training(fails, folder, tmp_path):
    assert fails("train", folder, "--out", tmp_path, "--resume") == (
        f"There is no training to resume in '{tmp_path}'."
    )


def test_resuming_keeps_to_the_data(fails, trained, make_folder, tmp_path):
    other = make_folder(tmp_path / "other")
    assert fails("train", other, "--out", trained, "--resume") == (
        f"The training in '{trained}' was begun with other values of data.root."
    )


def test_a_single_class_needs_images_alone(folder, tmp_path, tiny, capsys, fails):
    """Annealed at one resolution, then from those weights at another; no label is read in training."""
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    shutil.rmtree(data / "scribbles")
    common = [
        *tiny[:4],
        *tiny[6:8],
        "--recipe",
        "single-class",
        "--stages.normal_epochs",
        "1",
        "--steps_per_epoch",
        "1",
    ]
    first = [
        *common,
        "--out",
        str(tmp_path / "first"),
        "--stages.annealing_epochs",
        "2",
        "--image_size",
        "16",
    ]
    assert main(["train", str(data), *first]) == 0
    run = RunFolder(tmp_path / "first")
    assert run.finished and (run.images / "annealing" / "annealing.png").is_file()
    with open(run.log) as file:
        rows = list(csv.DictReader(file))
    assert [float(row["sparse_crf_weight"]) for row in rows] == [1, 1, 100]
    assert [float(row["sparse_crf_sigma_rgb"]) for row in rows] == pytest.approx([0.1, 0.15, 0.15])
    assert all(0.5 <= float(row["largest_class_share"]) <= 1 for row in rows)
    assert "F0.3" in capsys.readouterr().out

    second = [
        *common,
        "--out",
        str(tmp_path / "second"),
        "--stages.annealing_epochs",
        "0",
        "--image_size",
        "32",
    ]
    second += ["--start_from", str(tmp_path / "first"), "--optimizer.learning_rate", "1e-9"]
    assert main(["train", str(data), *second]) == 0
    kernels = [
        [w for w in keras.saving.load_model(tmp_path / name / "segmenter.keras").get_weights() if w.ndim == 4]
        for name in ("first", "second")
    ]
    for one, other in zip(*kernels, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)

    third = [*common, "--out", str(tmp_path / "third"), "--start_from", str(tmp_path / "first")]
    assert fails("train", data, *third, "--segmenter.filters", "4,16").startswith(
        f"the segmenter of start_from='{tmp_path / 'first'}' must be of the same architecture. Received: "
    )
    assert not (tmp_path / "third").exists()
    assert fails(
        "train", data, *common, "--out", tmp_path / "third", "--data.positives", "ponies"
    ).startswith(f"'{data}' must have a folder 'ponies'.")
