import csv

import keras
import numpy as np
import pytest

from keras_wsseg.callbacks import PredictionImages
from keras_wsseg.data import SegmentationFolder
from keras_wsseg.training import RunFolder, train, trainer

pytestmark = pytest.mark.usefixtures("eagerly")


def weights(run):
    return keras.saving.load_model(run.segmenter, compile=False).get_weights()


def interrupt_after(monkeypatch, epochs):
    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(PredictionImages, "on_epoch_end", on_epoch_end)


@pytest.fixture(scope="module")
def whole_run(small_config, tmp_path_factory):
    return small_config, train(small_config, tmp_path_factory.mktemp("whole") / "run", verbose=0)


def test_a_run_folder_holds_everything(whole_run):
    _, run = whole_run
    assert run.finished
    assert run.read_class_names() == ("background", "ellipse")
    assert sorted(run.read_scores()["iou"]) == ["background", "ellipse"]
    assert run.read_scores()["images"] == 2
    assert [path.name for path in sorted(run.images.iterdir())] == [
        "epoch_0001.png",
        "epoch_0002.png",
        "epoch_0003.png",
    ]
    assert not run.backup.exists()
    with open(run.log) as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert {"loss", "partial_cross_entropy", "gated_crf"} <= set(rows[0])


def test_the_crf_warms_up(whole_run):
    config, run = whole_run
    with open(run.log) as file:
        rows = list(csv.DictReader(file))
    # Two steps without it; half its weight in the third and fourth on average; then the whole.
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[0]["partial_cross_entropy"]), rel=1e-5)
    last = rows[2]
    weight = config.loss[1]["config"]["weight"]
    expected = float(last["partial_cross_entropy"]) + weight * float(last["gated_crf"])
    assert float(last["loss"]) == pytest.approx(expected, rel=1e-4)


def test_resuming_ends_where_an_unbroken_training_ends(whole_run, tmp_path, monkeypatch):
    config, unbroken = whole_run
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, epochs=2)
        train(config, tmp_path, verbose=0)
    run = RunFolder(tmp_path)
    assert run.completed_epochs() == 2 and not run.finished
    train(None, tmp_path, resume=True, verbose=0)
    assert run.finished
    for resumed, expected in zip(weights(run), weights(unbroken), strict=True):
        np.testing.assert_allclose(resumed, expected, rtol=1e-4, atol=1e-5)
    with open(run.log) as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_images_without_annotation_go_on_where_they_stopped(small_config, tmp_path, monkeypatch):
    config = small_config.replace({"data.labeled_fraction": 0.5, "data.unlabeled_split": "val"})
    unbroken = train(config, tmp_path / "unbroken", verbose=0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, epochs=2)
        train(config, tmp_path / "run", verbose=0)
    run = train(None, tmp_path / "run", resume=True, verbose=0)
    for resumed, expected in zip(weights(run), weights(unbroken), strict=True):
        np.testing.assert_allclose(resumed, expected, rtol=1e-4, atol=1e-5)


def test_batches_hold_as_many_images_without_annotation_as_asked_for(small_config, tmp_path, monkeypatch):
    asked = []

    def spy(self, *args, unlabeled_batch, **options):
        asked.append(unlabeled_batch)
        raise KeyboardInterrupt

    monkeypatch.setattr(SegmentationFolder, "train", spy)
    changes = {"data.labeled_fraction": 0.5, "unlabeled_batch": 0, "steps": 1, "warm_up": None}
    config = small_config.replace({**changes, "validation": None, "images_every": 0})
    for name, chosen in (("mixed", config), ("pce", config.replace({"loss": None}))):
        with pytest.raises(KeyboardInterrupt):
            train(chosen, tmp_path / name, verbose=0)
    assert asked == [0, None]


def test_what_is_finished_is_not_trained_again(whole_run, monkeypatch):
    config, run = whole_run
    monkeypatch.setattr(trainer.build, "build_training_data", None)
    assert train(config, run.path, resume=True).path == run.path


def test_an_interrupted_scoring_loses_no_training(small_config, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    config = small_config.replace({"loss": None, "images_every": 0})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer, "evaluate", interrupt)
        train(config, tmp_path / "run", verbose=0)
    run = RunFolder(tmp_path / "run")
    assert run.segmenter.is_file() and not run.finished
    before = run.segmenter.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_fit", None)
        train(config, run.path, resume=True, verbose=0)
    assert run.finished and run.segmenter.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"data.annotation": "clicks"}, FileNotFoundError, "must have a folder 'clicks'"),
        ({"data.split": "first"}, FileNotFoundError, r"first\.txt"),
        ({"group_by": r"(patient\d+)"}, ValueError, "which does not match 'p4'"),
        ({"segmenter": "DeepLabV3Plus", "segmenter.backbone": "resnet9"}, ValueError, "resnet9"),
        ({"segmenter.output_stride": 4}, ValueError, "output_stride"),
        ({"loss.radius": 0}, ValueError, "`radius` must be an integer of at least 1. Received: radius=0"),
        ({"optimizer.momentun": 0.9}, ValueError, "optimizer must be what Adam takes: .*momentun"),
        (
            {"optimizer.learning_rate": "x"},
            ValueError,
            "`optimizer.learning_rate` must be a number of at least 0",
        ),
        ({"schedule.half_life": 9}, ValueError, "schedule must be what PolynomialDecay takes: "),
        (
            {"encoder_rate": 0.1},
            ValueError,
            "encoder_rate must be 1 where the segmenter has no encoder that is trained. Received: .*=0.1",
        ),
        (
            {"data.labeled_fraction": 0.5, "unlabeled_batch": 2},
            ValueError,
            "`unlabeled_batch` must be .* 0 to 1",
        ),
        (
            {"loss.kernels": 3},
            ValueError,
            "loss must be what GatedCRFLoss takes: 'int' object is not iterable",
        ),
        (
            {"segmenter": "VGG16Skip", "segmenter.weights": 3},
            ValueError,
            "segmenter must be what VGG16Skip takes: ",
        ),
        ({"start_from": "nowhere"}, FileNotFoundError, "There must be a run folder or file of that name"),
    ],
)
def test_errors_come_before_anything_is_written(small_config, tmp_path, changes, error, text):
    with pytest.raises(error, match=text):
        train(small_config.replace(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_written_where_a_callback_cannot_be_made(small_config, tmp_path, monkeypatch):
    def fail(*_):
        raise TypeError("no image")

    monkeypatch.setattr(trainer, "_images", fail)
    with pytest.raises(TypeError, match="no image"):
        train(small_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"loss.class_weights": (1, 2, 3)}, {"schedule.power": "x"}])
def test_nothing_is_left_of_a_training_whose_first_step_fails(small_config, tmp_path, changes):
    (tmp_path / "run").mkdir()
    with pytest.raises(Exception, match="class_weights must contain one number for each|string|str"):
        train(small_config.replace(changes), tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_a_training_that_fails_later_can_go_on(small_config, tmp_path, monkeypatch):
    def fail(self, epoch, logs=None):
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the disk is full"):
        patch.setattr(PredictionImages, "on_epoch_end", fail)
        train(small_config, tmp_path, verbose=0)
    assert RunFolder(tmp_path).completed_epochs() == 1
    assert train(None, tmp_path, resume=True, verbose=0).finished


def test_tensorboard_is_asked_for_before_training(small_config, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="Logs for TensorBoard need it: pip install tensorboard"):
        train(small_config.replace({"tensorboard": True}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_validation_there_are_no_scores(small_config, tmp_path):
    config = small_config.replace({"validation": None, "steps": 1, "loss": None, "images_every": 0})
    run = train(config, tmp_path / "run", verbose=0)
    assert run.finished and run.read_scores() is None


def test_the_last_step_is_the_last_of_the_schedule(small_config, tmp_path):
    config = small_config.replace(
        {"steps": 5, "steps_per_epoch": 4, "loss": None, "images_every": 0, "validation": None}
    )
    run = train(config, tmp_path / "run", verbose=0)
    with open(run.log) as file:
        # Two epochs of three, not one of four and a second that goes three steps past the end.
        assert len(list(csv.DictReader(file))) == 2
