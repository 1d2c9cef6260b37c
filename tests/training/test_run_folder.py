import json

import pytest

from keras_wsseg.training import RunFolder, TrainingConfig
from keras_wsseg.training.run_folder import changed_settings

CONFIG = TrainingConfig.from_recipe(data="hearts")


def test_begin_writes_what_settings_and_names_read(tmp_path):
    run = RunFolder(tmp_path / "runs" / "one")
    assert run.settings(CONFIG, resume=False) is CONFIG
    assert not run.path.exists()
    run.begin(CONFIG, ("left ventricle", "wall"))
    assert run.settings(None, resume=True) == CONFIG
    assert run.settings(CONFIG, resume=True) == CONFIG
    assert run.read_class_names() == ("left ventricle", "wall")
    assert run.read_scores() is None
    assert sorted(path.name for path in run.path.iterdir()) == ["classes.txt", "config.json"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_that_an_editor_wrote_are_read(tmp_path, encoding):
    run = RunFolder(tmp_path)
    run.begin(CONFIG, ("B\u00e4r", "wall"))
    for path in (run.classes, run.config):
        path.write_text(path.read_text(encoding="utf-8").replace("\u00e4", "a\u0308"), encoding=encoding)
    assert run.read_class_names() == ("B\u00e4r", "wall") and run.settings(None, resume=True) == CONFIG


def test_trainings_are_not_mixed(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no training to resume in "):
        run.settings(CONFIG, resume=True)
    run.begin(CONFIG, ("a", "b"))
    with pytest.raises(FileExistsError, match="already: resume it .--resume., or choose another folder"):
        run.settings(CONFIG, resume=False)
    with pytest.raises(ValueError, match=r"was begun with other values of loss\.gated_crf\.radius, steps\.$"):
        run.settings(CONFIG.replace({"steps": 3000, "loss.radius": 2}), resume=True)


def test_foreign_things_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds other things: choose another one"):
        RunFolder(tmp_path).settings(CONFIG, resume=False)
    with pytest.raises(FileExistsError, match="is a file: choose another folder"):
        RunFolder(tmp_path / "thesis.txt").settings(CONFIG, resume=False)
    (tmp_path / "empty").mkdir()
    assert RunFolder(tmp_path / "empty").settings(CONFIG, resume=False) is CONFIG


def test_finished_waits_for_scores_where_there_are_any(tmp_path):
    run = RunFolder(tmp_path / "scored")
    assert not run.finished
    run.begin(CONFIG, ("a", "b"))
    run.segmenter.touch()
    assert not run.finished
    run.scores.write_text("{}")
    assert run.finished
    run = RunFolder(tmp_path / "unscored")
    run.begin(CONFIG.replace({"validation": None}), ("a", "b"))
    run.segmenter.touch()
    assert run.finished


def test_completed_epochs_are_those_of_the_checkpoint(tmp_path):
    run = RunFolder(tmp_path)
    assert run.completed_epochs() == 0
    run.backup.mkdir()
    (run.backup / "training_metadata.json").write_text(json.dumps({"epoch": 3, "batch": 0}))
    assert run.completed_epochs() == 3


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"data.root": "others"}, ["data.root"]),
        ({"segmenter": "DeepLabV3Plus"}, ["segmenter"]),
        ({"loss": "DenseCRFLoss"}, ["loss"]),
        ({"loss": None}, ["loss"]),
        ({"validation": None}, ["validation"]),
        ({"warm_up.ramp_steps": 3, "score_crf": "dense"}, ["warm_up.ramp_steps", "score_crf"]),
        ({"data.values": {0: "background", 255: "cell"}}, ["data.values"]),
        ({"loss.partial_cross_entropy.weight": 2.0}, ["loss.partial_cross_entropy.weight"]),
        ({"optimizer.weight_decay": 0.1}, ["optimizer.weight_decay"]),
    ],
)
def test_what_differs_is_named_as_the_options_are(changes, names):
    assert changed_settings(CONFIG, CONFIG.replace(changes)) == names


def test_an_inner_network_is_compared_argument_by_argument():
    config = TrainingConfig.from_recipe("rrm", "hearts")
    changed = config.replace({"segmenter.backbone.filters": (8, 16)})
    assert changed_settings(config, changed) == ["segmenter.backbone.filters"]
