import dataclasses
import json
import pathlib

import pytest

from keras_wsseg.training import TrainingConfig
from keras_wsseg.training.parts import PARTS, arguments_of
from keras_wsseg.training.recipes import recipe_names


def config_of(recipe="scribbles", **changes):
    return TrainingConfig.from_recipe(recipe, "hearts", changes)


@pytest.mark.parametrize(
    ("recipe", "changes", "error", "text"),
    [
        (
            "scribbles",
            {"steps": 0},
            ValueError,
            "`steps` must be an integer of at least 1. Received: steps=0",
        ),
        (
            "scribbles",
            {"steps": "many"},
            ValueError,
            "`steps` must be an integer of at least 1. Received: steps=",
        ),
        (
            "scribbles",
            {"steps": True},
            ValueError,
            "`steps` must be an integer of at least 1. Received: steps=True",
        ),
        (
            "scribbles",
            {"steps": 2.5},
            ValueError,
            "`steps` must be an integer of at least 1. Received: steps=2.5",
        ),
        (
            "scribbles",
            {"steps": None},
            ValueError,
            "`steps` must be an integer of at least 1. Received: steps=None",
        ),
        ("scribbles", {"image_size": 4}, ValueError, "`image_size` must be an integer of at least 8."),
        ("scribbles", {"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1."),
        ("scribbles", {"color_jitter": -0.1}, ValueError, "`color_jitter` must be a number of at least 0."),
        (
            "scribbles",
            {"color_jitter": float("nan")},
            ValueError,
            "`color_jitter` must be a number of at least 0.",
        ),
        (
            "scribbles",
            {"mode": "whole"},
            ValueError,
            "mode must be one of crop, resize. Received: mode='whole'",
        ),
        (
            "scribbles",
            {"score_crf": "yes"},
            ValueError,
            "score_crf must be one of windowed, dense. Received: score_crf='yes'",
        ),
        (
            "scribbles",
            {"score_crf": "dense", "validation": None},
            ValueError,
            "score_crf needs images to score on. Received: score_crf='dense'",
        ),
        ("scribbles", {"flip": 1}, TypeError, "flip must be true or false. Received: flip=1"),
        ("scribbles", {"start_from": 3}, TypeError, "start_from must be a text. Received: start_from=3"),
        *(
            (
                "scribbles",
                {"scale": scale},
                ValueError,
                "scale must be two numbers above 0, the smaller first.",
            )
            for scale in (1.0, (1.0,), (0.5, 1, 2), (1.5, 0.5), (0, 1), ("a", "b"), None)
        ),
        (
            "scribbles",
            {"steps": 20, "warm_up.delay_steps": 20},
            ValueError,
            "warm_up.delay_steps must be below steps=20, or no term but the first ever acts. Received: 20",
        ),
        (
            "scribbles",
            {"warm_up.ramp_steps": -1},
            ValueError,
            "`warm_up.ramp_steps` must be an integer of at least 0.",
        ),
        (
            "scribbles",
            {"group_by": "patient"},
            ValueError,
            "group_by must have a group in parentheses. Received: group_by='patient'",
        ),
        ("scribbles", {"group_by": "("}, ValueError, "group_by must be a regular expression"),
        (
            "scribbles",
            {"stepz": 3},
            ValueError,
            "A training has no argument of that name, but steps. Received: stepz",
        ),
        (
            "scribbles",
            {"steps.a": 3},
            ValueError,
            "steps is a setting and has no arguments. Received: steps.a",
        ),
        (
            "scribbles",
            {"loss.radios": 3},
            ValueError,
            "PartialCrossEntropy + GatedCRFLoss has no argument of that name, but radius. "
            "Received: loss.radios",
        ),
        (
            "scribbles",
            {"segmenter.filter": 3},
            ValueError,
            "UNet has no argument of that name, but filters. Received: segmenter.filter",
        ),
        (
            "scribbles",
            {"loss.partial_cross_entropy.radius": 3},
            ValueError,
            "PartialCrossEntropy has no argument of that name, but weight, class_weights. "
            "Received: loss.radius",
        ),
        (
            "scribbles",
            {"segmenter.filters.a": 3},
            ValueError,
            "segmenter.filters must be a class to have arguments. Received: [12, 24, 48, 96]",
        ),
        ("scribbles", {"loss": "CRF"}, ValueError, "loss must be one of ADMLoss, "),
        ("scribbles", {"segmenter": "unet"}, ValueError, "segmenter must be one of UNet, DeepLabV3Plus, "),
        ("scribbles", {"segmenter": None}, ValueError, "segmenter must be a class. Received: segmenter=None"),
        ("scribbles", {"optimizer": "adam"}, ValueError, "optimizer must be one of Adam, AdamW, SGD, "),
        ("scribbles", {"data": None}, ValueError, "data must be a class. Received: data=None"),
        ("scribbles", {"schedule": 3}, ValueError, "A part must be a class by its name, or a table"),
        ("scribbles", {"loss": []}, ValueError, "loss must have at least one term. Received: none"),
        (
            "scribbles",
            {"data": "TagFolder"},
            ValueError,
            "Tags (TagFolder) are what AdaptivePriorLoss and ReliableRegionMining learn from, and nothing "
            "else does. Received: TagFolder, UNet, PartialCrossEntropy, GatedCRFLoss",
        ),
        ("rrm", {"data": "SegmentationFolder"}, ValueError, "Tags (TagFolder) are what "),
        ("tags", {"loss": "PartialCrossEntropy"}, ValueError, "Tags (TagFolder) are what "),
        (
            "single-class",
            {"stages": None},
            ValueError,
            "SingleClassLoss, as the only term, goes with SingleClassFolder and stages, and they with "
            "nothing else. Received: SingleClassFolder, UNet, SingleClassLoss, no stages",
        ),
        (
            "single-class",
            {"data": "SegmentationFolder"},
            ValueError,
            "SingleClassLoss, as the only term, goes",
        ),
        ("single-class", {"loss": "GatedCRFLoss"}, ValueError, "SingleClassLoss, as the only term, goes"),
        ("scribbles", {"stages": "SingleClassStages"}, ValueError, "SingleClassLoss, as the only term, goes"),
        ("scribbles", {"loss": "SingleClassLoss"}, ValueError, "SingleClassLoss, as the only term, goes"),
        (
            "single-class",
            {"data.annotation": "clicks"},
            ValueError,
            "SingleClassFolder has no argument of that name",
        ),
    ],
)
def test_wrong_settings_are_told(recipe, changes, error, text):
    with pytest.raises(error) as raised:
        config_of(recipe, **changes)
    assert str(raised.value).startswith(text)


def test_there_must_be_a_folder():
    with pytest.raises(
        ValueError, match="data.root must be the folder of images and annotations. Received: none"
    ):
        TrainingConfig.from_recipe("scribbles")


def test_a_part_is_completed_with_the_defaults_of_its_class():
    config = config_of(segmenter="EncoderUNet", **{"segmenter.backbone": "resnet18"})
    _, defaults, _ = arguments_of("segmenter", "EncoderUNet")
    assert config.segmenter == {"class_name": "EncoderUNet", "config": {**defaults, "backbone": "resnet18"}}
    # Of a recipe, what is said of another class is gone with it.
    assert config_of(segmenter="DeepLabV3Plus").segmenter["config"]["filters"] == 256
    assert (
        config_of(segmenter="UNet").segmenter["config"]["filters"]
        == arguments_of("segmenter", "UNet")[1]["filters"]
    )


@pytest.mark.parametrize(
    ("recipe", "loss", "terms"),
    [
        ("scribbles", "DenseCRFLoss", ["PartialCrossEntropy", "DenseCRFLoss"]),
        ("scribbles", None, ["PartialCrossEntropy"]),
        ("scribbles", "PartialCrossEntropy", ["PartialCrossEntropy"]),
        ("scribbles", "BalancedCrossEntropy", ["BalancedCrossEntropy"]),
        ("scribbles", ["PartialCrossEntropy", "GatedCRFLoss", "DenseCRFLoss"], None),
        ("full", "GatedCRFLoss", ["PartialCrossEntropy", "GatedCRFLoss"]),
        ("tags", "GatedCRFLoss", ["AdaptivePriorLoss", "GatedCRFLoss"]),
        ("rrm", "GatedCRFLoss", ["BalancedCrossEntropy", "GatedCRFLoss"]),
        ("rrm", None, ["BalancedCrossEntropy"]),
    ],
)
def test_a_term_takes_the_place_of_the_last_one(recipe, loss, terms):
    assert config_of(recipe, loss=loss).terms == (terms or loss)


def test_a_term_of_its_own_stays_alone():
    config = config_of(loss=["GatedCRFLoss"])
    assert config.replace({"loss": None}).terms == ["GatedCRFLoss"]
    assert config.replace({"loss": "DenseCRFLoss"}).terms == ["DenseCRFLoss"]
    assert config.replace({"loss": "PartialCrossEntropy"}).terms == ["PartialCrossEntropy"]


def test_what_is_known_is_learnt_from_the_first_step_on():
    assert config_of().late_terms == [1] and config_of("tags").late_terms == [1]
    for loss in (None, "PartialCrossEntropy", "BalancedCrossEntropy"):
        config = config_of(loss=loss)
        assert config.late_terms == [] and not config.regularized
    # Mined labels are no use before the tags are learnt.
    assert config_of("rrm").late_terms == [0, 1]
    assert not config_of("single-class").regularized


def test_a_dotted_name_means_the_last_term_that_has_it():
    config = config_of(
        **{"loss.weight": 3, "loss.class_weights": "batch", "loss.partial_cross_entropy.weight": 2}
    )
    first, last = (term["config"] for term in config.loss)
    assert (first["weight"], first["class_weights"], last["weight"]) == (2, "batch", 3)


def test_an_inner_network_has_arguments_of_its_own():
    config = config_of("rrm", **{"segmenter.backbone.filters": (8, 16), "segmenter.filters": 32})
    inner = config.segmenter["config"]["backbone"]
    assert inner["class_name"] == "UNet" and inner["config"]["filters"] == [8, 16]
    assert config.segmenter["config"]["filters"] == 32
    other = config_of(
        "rrm", **{"segmenter.backbone": "EncoderUNet", "segmenter.backbone.backbone": "resnet18"}
    )
    assert other.segmenter["config"]["backbone"]["config"]["backbone"] == "resnet18"
    assert (
        config_of("rrm", **{"segmenter.backbone": "resnet38"}).segmenter["config"]["backbone"] == "resnet38"
    )
    with pytest.raises(
        ValueError, match="segmenter.backbone must be a class to have arguments. Received: 'resnet38'"
    ):
        config_of("rrm", **{"segmenter.backbone": "resnet38", "segmenter.backbone.filters": 3})


def test_a_warm_up_is_a_quarter_of_the_steps_and_as_long_again_unless_said_otherwise():
    config = config_of(steps=80)
    assert config.warm_up_steps == (20, 20)
    config = config.replace({"warm_up.delay_steps": 3, "warm_up.ramp_steps": 5})
    assert config.warm_up_steps == (3, 5)
    config = config.replace({"warm_up": None})
    assert config.warm_up_steps == (0, 0)
    assert config_of("full").warm_up is None


def test_another_kind_of_data_stays_in_its_folder():
    config = config_of("tags", **{"data.split": "some"})
    config = config.replace(
        {"data": "SegmentationFolder", "loss": "PartialCrossEntropy", "data.annotation": "clicks"}
    )
    assert (config.root, config.data["config"]["split"]) == ("hearts", "some")


@pytest.mark.parametrize("recipe", recipe_names())
def test_json_round_trip(tmp_path, recipe):
    config = config_of(
        recipe,
        **{
            "validation": None,
            "scale": (0.5, 1),
            "group_by": r"(p\d+)",
            "data.value_range": (0, 4095.5),
            "optimizer.learning_rate": 1e-7,
            "optimizer.beta_1": 0.1,
        },
    )
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert TrainingConfig.read(path) == config
    assert TrainingConfig.from_recipe(path, "hearts") == config
    assert TrainingConfig.from_recipe(str(path), "elsewhere") == config.replace({"data.root": "elsewhere"})
    assert config.replace({}) == config


def test_round_trip_of_what_json_has_no_word_for(tmp_path):
    values = {0: "background", 255: "cell"}
    config = config_of(
        **{
            "data.values": values,
            "data.stuff_classes": (0, "cell"),
            "data.ignore_values": 7,
            "data.annotation": 3,
        }
    )
    found = config.data["config"]
    assert found["values"] == {"0": "background", "255": "cell"} and found["stuff_classes"] == [0, "cell"]
    # One value is a list of one where a list is wanted, and a folder may be a number.
    assert found["ignore_values"] == [7] and found["annotation"] == "3"
    assert config.replace({"data.ignore_values": None}).data["config"]["ignore_values"] == []
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert TrainingConfig.read(path) == config
    # What was given is not what is kept.
    values[0] = "other"
    assert found["values"]["0"] == "background"


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.clear(),
        lambda table: table.update(version=3),
        lambda table: table.update(stepz=3),
        lambda table: table.update(steps=0),
        lambda table: table.pop("data"),
        lambda table: table["loss"][0].update(class_name="None"),
        lambda table: table["segmenter"]["config"].update(filter=3),
    ],
)
def test_foreign_files_are_told(tmp_path, change):
    path, table = tmp_path / "config.json", json.loads(config_of().to_json())
    change(table)
    for text in (json.dumps(table), "", "[1]", "3"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"config.json' is no configuration of a training: "):
            TrainingConfig.read(path)


def test_paths_become_text():
    assert TrainingConfig.from_recipe(data=pathlib.Path("a") / "b").root == str(pathlib.Path("a") / "b")


def test_replace_checks_again_and_leaves_what_it_came_from():
    config = config_of()
    assert config.replace({"loss.radius": 3}) == config_of(**{"loss.radius": 3}) != config
    assert config == config_of()
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 1"):
        config.replace({"steps": 0})


def test_every_setting_has_a_help():
    for field in dataclasses.fields(TrainingConfig):
        assert (field.name in PARTS) != bool(field.metadata.get("help"))


def test_images_stay_whole_where_their_tags_do():
    modes = {recipe: config_of(recipe).mode for recipe in recipe_names()}
    assert modes.pop("rrm") == modes.pop("tags") == modes.pop("single-class") == "resize"
    assert set(modes.values()) == {"crop"}
