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
    assert config.data == str(folder) and config.filters == (4, 8) and config.steps == 4
    assert (config.val_split, config.train_split, config.method) == ("val", "train", "gated-crf")
    assert [path.name for path in sorted(run.images.iterdir())] == ["epoch_0001.png", "epoch_0002.png"]


def test_every_kind_of_option_arrives(folder, tmp_path, tiny, capsys):
    options = ["--no-gate-source", "--gate-destination", "--method", "full", "--class-weights", "batch"]
    options += ["--val-split", "none", "--learning-rate", "0.01", "--image-every", "0"]
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *tiny, *options]) == 0
    config = TrainingConfig.read(tmp_path / "run" / "config.json")
    assert (config.gate_source, config.gate_destination, config.tensorboard) == (False, True, False)
    assert (config.method, config.class_weights, config.val_split) == ("full", "batch", None)
    assert config.learning_rate == 0.01
    said = capsys.readouterr().out
    assert "IoU" not in said and "Images" not in said


def test_afterwards_it_shows_scores_and_what_to_type_next(trained, folder, capsys):
    assert main(["train", str(folder), "--out", str(trained), "--resume"]) == 0
    said = capsys.readouterr().out
    assert "is finished already." in said
    assert "ellipse" in said and "IoU" in said and "mean" in said
    assert said.rstrip().endswith(f"{console.own_command()} export {trained} first.onnx")


def test_lists_may_begin_with_a_negative_number(folder, tmp_path, tiny):
    words = ["--value-range", "-1,1", "--method", "pce"]
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *tiny, *words]) == 0
    assert TrainingConfig.read(RunFolder(tmp_path / "run").config).value_range == (-1.0, 1.0)


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
        f"There is a training in '{out}' already: add --resume to go on with it, or choose another --out."
    )
    assert fails("train", folder, "--out", out, "--resume", "--steps", 9) == (
        f"The training in '{out}' was begun with other values of steps."
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
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *tiny, "--method", "pce"]) == 0
    said = capsys.readouterr().out
    assert f"There is no val.txt in {data}: training without scores." in said
    assert f"There is no train.txt in {data}: training on every annotated image." in said
    run = RunFolder(tmp_path / "run")
    assert run.finished and run.read_scores() is None
    assert json.loads(run.config.read_text())["val_split"] is None


def test_a_list_without_labels_is_no_reason_to_stop(make_folder, tmp_path, tiny):
    from keras_wsseg.cli.data_folder import settings_for

    data = make_folder(tmp_path / "data")
    shutil.rmtree(data / "labels")
    config, notes = settings_for(data, {})
    assert config.val_split is None and config.train_split == "train"
    assert notes == [f"There is no labels/ in {data}: training without scores."]
    assert settings_for(data, {"val_split": "val"})[0].val_split == "val"


@pytest.fixture
def broken(make_folder, tmp_path):
    return make_folder(tmp_path / "broken")


def test_wrong_folders_are_told(fails, tmp_path, broken):
    out = tmp_path / "run"
    assert fails("train", tmp_path / "no", "--out", out) == (
        f"DATA must be a folder with images/ and annotations. Received: '{tmp_path / 'no'}'"
    )
    assert fails("train", tmp_path, "--out", out).startswith("DATA must have a folder images/ in it.")
    assert "must have a folder 'clicks'" in fails("train", broken, "--out", out, "--annotation", "clicks")
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
    ("option", "value", "text"),
    [
        ("--steps", "many", "argument --steps: --steps must be an integer. Received: 'many'"),
        ("--method", "magic", "argument --method: invalid choice: 'magic'"),
        ("--crop", "2", "crop must be at least 8. Received: crop=2"),
        (
            "--click-size",
            "3",
            "click_size has an effect where annotation is clicks or simulated_clicks only.",
        ),
        ("--group-by", "p", "group_by must have a group in parentheses. Received: group_by='p'"),
    ],
)
def test_wrong_options_are_told(fails, folder, tmp_path, option, value, text):
    assert fails("train", folder, "--out", tmp_path / "run", option, value).startswith(text)
    assert not (tmp_path / "run").exists()


def test_resuming_needs_a_training(fails, folder, tmp_path):
    assert fails("train", folder, "--out", tmp_path, "--resume") == (
        f"There is no training to resume in '{tmp_path}'."
    )


def test_resuming_keeps_to_the_data(fails, trained, make_folder, tmp_path):
    other = make_folder(tmp_path / "other")
    assert fails("train", other, "--out", trained, "--resume") == (
        f"The training in '{trained}' was begun with other values of data."
    )


def test_a_single_class_needs_images_alone(folder, tmp_path, tiny, capsys, fails):
    """Annealed at one resolution, then from those weights at another; no label is read in training."""
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    shutil.rmtree(data / "scribbles")
    common = [*tiny, "--method", "single-class", "--normal-epochs", "1", "--epoch-steps", "1"]
    first = [*common, "--out", str(tmp_path / "first"), "--annealing-epochs", "2", "--crop", "16"]
    assert main(["train", str(data), *first]) == 0
    run = RunFolder(tmp_path / "first")
    assert run.finished and (run.images / "annealing" / "annealing.png").is_file()
    with open(run.log) as file:
        rows = list(csv.DictReader(file))
    assert [float(row["sparse_crf_weight"]) for row in rows] == [1, 1, 100]
    assert [float(row["sparse_crf_sigma"]) for row in rows] == pytest.approx([0.1, 0.15, 0.15])
    assert all(0.5 <= float(row["largest_class_share"]) <= 1 for row in rows)
    assert "F0.3" in capsys.readouterr().out

    second = [*common, "--out", str(tmp_path / "second"), "--annealing-epochs", "0", "--crop", "32"]
    second += ["--start-from", str(tmp_path / "first"), "--learning-rate", "1e-9"]
    assert main(["train", str(data), *second]) == 0
    kernels = [
        [w for w in keras.saving.load_model(tmp_path / name / "segmenter.keras").get_weights() if w.ndim == 4]
        for name in ("first", "second")
    ]
    for one, other in zip(*kernels, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)

    third = [*common, "--out", str(tmp_path / "third"), "--start-from", str(tmp_path / "first")]
    assert fails("train", data, *third, "--filters", "4,16").startswith(
        f"the segmenter of start_from='{tmp_path / 'first'}' must be of the same architecture. Received: "
    )
    assert not (tmp_path / "third").exists()
    assert fails("train", data, *common, "--out", tmp_path / "third", "--positives", "ponies").startswith(
        f"'{data}' must have a folder 'ponies'."
    )
