import dataclasses
import pathlib

import pytest

from keras_wsseg.training import TrainingConfig


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"data": None},
            ValueError,
            "data must be the folder of images and annotations. Received: data=None",
        ),
        (
            {"method": "crf"},
            ValueError,
            "method must be one of gated-crf, dense-crf, normalized-cut, kernel-cut, adm, pce, full, "
            "single-class, tags-prior, rrm. Received: method='crf'",
        ),
        (
            {"dense_method": "fast"},
            ValueError,
            "dense_method must be one of auto, exact, nystrom, permutohedral. Received: dense_method='fast'",
        ),
        (
            {"cut_sigma_xy": 5.0},
            ValueError,
            "cut_sigma_xy and cut_sigma_rgb must both be given or both be none. "
            "Received: cut_sigma_xy=5.0, cut_sigma_rgb=None",
        ),
        (
            {"score_crf": "dense", "val_split": None},
            ValueError,
            "score_crf needs images to score on. Received: score_crf='dense', val_split=None",
        ),
        (
            {"score_crf": "yes"},
            ValueError,
            "score_crf must be one of none, windowed, dense. Received: score_crf='yes'",
        ),
        ({"output_stride": 3}, ValueError, "output_stride must be one of 1, 2, 4. Received: output_stride=3"),
        ({"steps": 0}, ValueError, "steps must be at least 1. Received: steps=0"),
        ({"crop": 4}, ValueError, "crop must be at least 8. Received: crop=4"),
        ({"crf_weight": -0.1}, ValueError, "crf_weight must be at least 0. Received: crf_weight=-0.1"),
        ({"crf_weight": float("nan")}, ValueError, "crf_weight must be at least 0. Received: crf_weight=nan"),
        ({"sigma_rgb": 0.0}, ValueError, "sigma_rgb must be greater than 0. Received: sigma_rgb=0.0"),
        (
            {"scale_high": 0.5},
            ValueError,
            "scale_high must be at least scale_low=0.8. Received: scale_high=0.5",
        ),
        ({"filters": ()}, ValueError, "filters must be integers of at least 1. Received: filters=()"),
        ({"filters": (8, 0)}, ValueError, "filters must be integers of at least 1. Received: filters=(8, 0)"),
        (
            {"steps": 20, "warm_up": 20},
            ValueError,
            "warm_up must be below steps=20, or the loss of method='gated-crf' never acts. "
            "Received: warm_up=20",
        ),
        ({"steps": "many"}, TypeError, "steps must be int. Received: steps='many'"),
        ({"steps": True}, TypeError, "steps must be int. Received: steps=True"),
        ({"gate_source": 1}, TypeError, "gate_source must be bool. Received: gate_source=1"),
        ({"filters": (1.5,)}, TypeError, "filters must be a tuple of int. Received: filters=(1.5,)"),
        ({"val_split": 3}, TypeError, "val_split must be str | None. Received: val_split=3"),
        (
            {"click_size": 3},
            ValueError,
            "click_size has an effect where annotation is clicks or simulated_clicks only. "
            "Received: click_size=3, annotation='scribbles'",
        ),
        (
            {"click_size": 2, "annotation": "clicks"},
            ValueError,
            "click_size must be odd. Received: click_size=2",
        ),
        (
            {"stuff_classes": (0,), "annotation": "clicks"},
            ValueError,
            "stuff_classes has an effect where annotation is simulated_clicks only. "
            "Received: stuff_classes=(0,), annotation='clicks'",
        ),
        (
            {"instances": "instances", "annotation": "clicks"},
            ValueError,
            "instances has an effect where annotation is simulated_clicks only. "
            "Received: instances='instances', annotation='clicks'",
        ),
        (
            {"scribble_length": 0.5, "annotation": "clicks"},
            ValueError,
            "scribble_length has an effect where annotation is scribbles or simulated_scribbles only. "
            "Received: scribble_length=0.5, annotation='clicks'",
        ),
        (
            {"scribble_length": 1.5},
            ValueError,
            "scribble_length must be at most 1. Received: scribble_length=1.5",
        ),
        (
            {"scribble_length": -0.5},
            ValueError,
            "scribble_length must be at least 0. Received: scribble_length=-0.5",
        ),
        (
            {"labeled_fraction": 2},
            ValueError,
            "labeled_fraction must be at most 1. Received: labeled_fraction=2",
        ),
        (
            {"labeled_fraction": 0.0},
            ValueError,
            "labeled_fraction must be greater than 0. Received: labeled_fraction=0.0",
        ),
        (
            {"unlabeled_batch": 4},
            ValueError,
            "unlabeled_batch has an effect beside labeled_fraction or unlabeled_split only. "
            "Received: unlabeled_batch=4",
        ),
        (
            {"unlabeled_batch": 8, "labeled_fraction": 0.5},
            ValueError,
            "unlabeled_batch must be below batch_size=8. Received: unlabeled_batch=8",
        ),
        (
            {"batch_size": 1, "unlabeled_split": "more"},
            ValueError,
            "batch_size must be at least 2 to hold images with and without annotation. "
            "Received: batch_size=1",
        ),
        (
            {"group_by": "patient"},
            ValueError,
            "group_by must have a group in parentheses. Received: group_by='patient'",
        ),
        ({"group_by": "("}, ValueError, "group_by must be a regular expression"),
        (
            {"positives": (1,)},
            TypeError,
            "positives must be a tuple of str. Received: positives=(1,)",
        ),
        (
            {"method": "single-class", "positives": ()},
            ValueError,
            "positives must name at least one folder. Received: positives=()",
        ),
        (
            {"method": "single-class", "annealing_epochs": 0, "normal_epochs": 0},
            ValueError,
            "annealing_epochs and normal_epochs must not both be 0. "
            "Received: annealing_epochs=0, normal_epochs=0",
        ),
        (
            {"method": "single-class", "sigma_rgb": 0.04},
            ValueError,
            "first_sigma must be at most sigma_rgb=0.04. Received: first_sigma=0.05",
        ),
        (
            {"encoder": "frozen"},
            ValueError,
            "encoder can be frozen where weights or start_from give it some only. "
            "Received: encoder='frozen', weights=None, start_from=None",
        ),
        (
            {"object_fraction": 1.5},
            ValueError,
            "object_fraction must be at most 1. Received: object_fraction=1.5",
        ),
        (
            {"method": "rrm", "values": ("0=a",)},
            ValueError,
            "values has an effect where the training reads label maps only. Received: values=('0=a',), "
            "method='rrm'",
        ),
        (
            {"method": "single-class", "values": ("0=a",)},
            ValueError,
            "values has an effect where the training reads label maps only.",
        ),
        (
            {"reliable_share": 1.5},
            ValueError,
            "reliable_share must be at most 1. Received: reliable_share=1.5",
        ),
        (
            {"cam_scales": ()},
            ValueError,
            "cam_scales must be numbers of at least 0.001. Received: cam_scales=()",
        ),
        ({"prior_object": 1.5}, ValueError, "prior_object must be at most 1. Received: prior_object=1.5"),
        (
            {"method": "rrm", "model": "two-branch", "output_stride": 2},
            ValueError,
            "output_stride must be 1 where model is two-branch. Received: output_stride=2",
        ),
        (
            {"model": "two-branch"},
            ValueError,
            "model can be two-branch where method is rrm only. "
            "Received: model='two-branch', method='gated-crf'",
        ),
        (
            {"encoder_rate": 0.1},
            ValueError,
            "encoder_rate must be 1 for a model without encoder. Received: encoder_rate=0.1, model='unet'",
        ),
    ],
)
def test_wrong_settings_are_told(changes, error, text):
    with pytest.raises(error) as raised:
        TrainingConfig(**{"data": "hearts", **changes})
    assert str(raised.value).startswith(text)


def test_json_round_trip(tmp_path):
    config = TrainingConfig(
        data="hearts",
        annotation="simulated_clicks",
        val_split=None,
        stuff_classes=(0, 3),
        filters=(4, 8),
        sigma_rgb=0.02,
        gate_source=False,
        group_by=r"(p\d+)",
        negatives=("streets", "rooms"),
    )
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert TrainingConfig.read(path) == config


@pytest.mark.parametrize("text", ["", "[1]", '{"data": "x", "stepz": 3}', '{"data": "x", "steps": 0}'])
def test_foreign_files_are_told(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"config.json' is no configuration of a training: "):
        TrainingConfig.read(path)


def test_paths_become_text():
    assert TrainingConfig(data=pathlib.Path("a") / "b").data == str(pathlib.Path("a") / "b")


def test_replace_checks_again():
    config = TrainingConfig(data="hearts")
    assert config.replace(radius=3) == TrainingConfig(data="hearts", radius=3)
    with pytest.raises(ValueError, match="radius must be at least 1"):
        config.replace(radius=0)


def test_full_supervision_learns_from_labels():
    assert TrainingConfig(data="hearts", annotation="clicks").label_source == "clicks"
    assert TrainingConfig(data="hearts", annotation="clicks", method="full").label_source == "labels"


def test_methods_without_use_for_unlabeled_images_take_any_batch():
    for method in ("pce", "full"):
        config = TrainingConfig(data="hearts", method=method, labeled_fraction=0.5, batch_size=1)
        assert config.replace(unlabeled_batch=4).batch_size == 1


def test_every_setting_can_be_shown():
    for field in dataclasses.fields(TrainingConfig):
        assert field.metadata["help"] and field.metadata["group"]


def test_images_stay_whole_where_their_tags_do():
    def whole(**changes):
        return TrainingConfig(data="hearts", **changes).whole_images

    assert whole(method="rrm") and whole(method="tags-prior") and whole(method="single-class", whole=False)
    assert whole(whole=True) and not whole() and not whole(method="rrm", whole=False)
