import shutil

import numpy as np
import pytest

from keras_wsseg.annotations import UNLABELED, write_label_map
from keras_wsseg.cli.sweep_command import parse_variations
from keras_wsseg.data import SegmentationFolder
from keras_wsseg.training import RunFolder, SweepRow, TrainingConfig, sweep, sweeper
from keras_wsseg.training.evaluation import Scores


@pytest.fixture
def trained(monkeypatch):
    """Trainings that take no time: the score is lambda plus a hundredth of the seed."""
    done = []

    def train(config, path, resume, verbose):
        run = RunFolder(path)
        config = run.settings(config, resume)
        if not run.finished:
            done.append(run.path.name)
            run.begin(config, ("a", "b"))
            iou = config.loss[-1]["config"]["weight"] + config.seed / 100
            run.write_scores(Scores(iou, 0.5, {"a": iou, "b": None}, {"a": 0.5, "b": None}, 1, 1))
            run.segmenter.touch()

    monkeypatch.setattr(sweeper, "train", train)
    monkeypatch.setattr(sweeper, "_check_parts", lambda configs: None)
    return done


CONFIG = TrainingConfig.from_recipe(data="hearts")


def test_rows_hold_means_and_spreads(trained, tmp_path):
    rows = sweep(CONFIG, {"loss.weight": [0.1, 0.3]}, range(3), tmp_path)
    assert [row.values for row in rows] == [{"loss.weight": 0.1}, {"loss.weight": 0.3}]
    assert rows[0].scores == pytest.approx((0.1, 0.11, 0.12))
    assert rows[1].mean == pytest.approx(0.31) and rows[1].spread == pytest.approx(0.01)
    assert rows[1].per_class == {"a": pytest.approx(0.31), "b": None}
    assert trained[:2] == ["loss.weight=0.1,seed=0", "loss.weight=0.1,seed=1"] and len(trained) == 6


def test_one_seed_has_no_spread():
    assert SweepRow({}, (0.5,), {}).spread == 0.0


def test_what_is_there_is_not_trained_again(trained, tmp_path):
    sweep(CONFIG, {"loss.weight": [0.1]}, [0], tmp_path)
    told, scored = [], []
    rows = sweep(
        CONFIG,
        {"loss.weight": [0.1, 0.2]},
        [0],
        tmp_path,
        score="mean_dice",
        on_run=lambda number, count, settings, run: told.append((number, count, settings, run.finished)),
        on_scores=lambda scores: scored.append(scores["mean_iou"]),
    )
    assert trained == ["loss.weight=0.1,seed=0", "loss.weight=0.2,seed=0"]
    assert told == [
        (1, 2, {"loss.weight": 0.1, "seed": 0}, True),
        (2, 2, {"loss.weight": 0.2, "seed": 0}, False),
    ]
    assert scored == pytest.approx([0.1, 0.2])
    assert [row.mean for row in rows] == [0.5, 0.5]


def test_settings_change_together_and_in_every_combination(trained, tmp_path):
    varied = {"loss.sigma_xy+loss.radius": [(3.0, 3), (6.0, 5)], "segmenter": ["UNet", "DeepLabV3Plus"]}
    rows = sweep(CONFIG, varied, [0], tmp_path)
    assert [tuple(row.values.values()) for row in rows] == [
        (3.0, 3, "UNet"),
        (3.0, 3, "DeepLabV3Plus"),
        (6.0, 5, "UNet"),
        (6.0, 5, "DeepLabV3Plus"),
    ]
    run = RunFolder(tmp_path / "loss.sigma_xy=6.0,loss.radius=5,segmenter=UNet,seed=0")
    config = TrainingConfig.read(run.config)
    assert config == CONFIG.replace({"loss.sigma_xy": 6.0, "loss.radius": 5, "segmenter": "UNet"})


def test_a_loss_and_an_argument_that_not_all_of_them_have_are_varied(trained, tmp_path):
    rows = sweep(
        CONFIG, {"loss": [None, "GatedCRFLoss", "DenseCRFLoss"], "loss.weight": [0.5]}, [0], tmp_path
    )
    assert [row.values["loss"] for row in rows] == [None, "GatedCRFLoss", "DenseCRFLoss"]
    runs = [TrainingConfig.read(tmp_path / name / "config.json") for name in trained]
    assert [run.terms for run in runs] == [
        ["PartialCrossEntropy"],
        ["PartialCrossEntropy", "GatedCRFLoss"],
        ["PartialCrossEntropy", "DenseCRFLoss"],
    ]


@pytest.mark.parametrize(
    ("varied", "seeds", "score", "text"),
    [
        ({"lambda": [1]}, [0], "mean_iou", "A training has no argument of that name, but data, "),
        (
            {"steps": [3, 0]},
            [0],
            "mean_iou",
            "`warm_up.delay_steps`|`steps` must be an integer of at least 1",
        ),
        (
            {"loss.radius": [3, 0]},
            [0],
            "mean_iou",
            "`radius` must be an integer of at least 1. Received: radius=0",
        ),
        (
            {"loss.radius": [3, 3]},
            [0],
            "mean_iou",
            "each value must be given once. Received: loss.radius=3,seed=0 twice",
        ),
        ({"loss.radius": [3]}, [], "mean_iou", "seeds must hold at least one. Received: none"),
        (
            {"loss.radius": [3]},
            [0],
            "iou",
            "score must be one of mean_iou, mean_dice, mean_f_beta. Received: score='iou'",
        ),
        (
            {"loss.sigma_xy+loss.radius": [(3, 3, 3)]},
            [0],
            "mean_iou",
            r"loss.sigma_xy\+loss.radius needs 2 values at a time. Received: \(3, 3, 3\)",
        ),
    ],
)
def test_wrong_sweeps_are_told_before_training(
    small_config, tmp_path, monkeypatch, varied, seeds, score, text
):
    monkeypatch.setattr(sweeper, "train", None)
    with pytest.raises(ValueError, match=text):
        sweep(small_config, varied, seeds, tmp_path / "runs", score)
    assert not (tmp_path / "runs").exists()


def test_all_data_are_read_before_the_first_training(small_config, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeper, "train", None)
    with pytest.raises(FileNotFoundError, match="must have a folder 'clicks'"):
        sweep(small_config, {"data.annotation": ["scribbles", "clicks"]}, [0], tmp_path)
    with pytest.raises(ValueError, match="A sweep needs images to score on. Received: validation=None"):
        sweep(small_config.replace({"validation": None}), {"loss.radius": [3]}, [0], tmp_path)


@pytest.mark.parametrize(
    ("varied", "text"),
    [
        (
            {"data.unlabeled_split": [None, "nowhere"]},
            "The list must be an existing file. Received: '.*nowhere.txt'",
        ),
        ({"data.labeled_fraction": [1.0, 0.01]}, "At least one pixel must be annotated in the 1 files"),
    ],
)
def test_each_choice_of_annotation_is_read_before_the_first_training(
    small_config, small_folder, tmp_path, monkeypatch, varied, text
):
    monkeypatch.setattr(sweeper, "train", None)
    root = tmp_path / "data"
    shutil.copytree(small_folder, root)
    (kept,) = SegmentationFolder(root, split="train", labeled_fraction=0.01).names
    write_label_map(root / "scribbles" / f"{kept}.png", np.full((32, 32), UNLABELED, np.uint8))
    with pytest.raises((FileNotFoundError, ValueError), match=text):
        sweep(small_config.replace({"data.root": str(root)}), varied, [0], tmp_path / "runs")


def test_lengths_of_scribbles_are_swept_from_the_command_line(trained, tmp_path):
    varied = parse_variations(["data.scribble_length=1,0.5,0.3,0"])
    rows = sweep(CONFIG, varied, [0], tmp_path)
    assert [row.values for row in rows] == [{"data.scribble_length": part} for part in (1, 0.5, 0.3, 0)]
    run = RunFolder(tmp_path / "data.scribble_length=0.3,seed=0")
    assert TrainingConfig.read(run.config).data["config"]["scribble_length"] == 0.3
