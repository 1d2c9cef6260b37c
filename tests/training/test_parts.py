import importlib

import pytest

from keras_wsseg import losses
from keras_wsseg.training.parts import (
    LOSSES,
    OPTIMIZERS,
    PARTS,
    SCHEDULES,
    SEGMENTERS,
    arguments_of,
    as_part,
    check_names,
    complete_part,
    plain,
)

CLASSES = [(part, name) for part, (_, classes) in PARTS.items() for name in classes]


@pytest.mark.parametrize(("part", "name"), CLASSES)
def test_every_class_is_there(part, name):
    room = PARTS[part][0]
    if room is None:
        place = "keras.optimizers.schedules" if part == "schedule" else "keras.optimizers"
    else:
        place = f"keras_wsseg.{room}"
    assert callable(getattr(importlib.import_module(place), name))


def test_losses_are_all_that_can_be_a_term():
    of_base = {name for name in losses.__all__ if issubclass(getattr(losses, name), losses.SegmentationLoss)}
    assert {*LOSSES} == of_base - {"SegmentationLoss", "LossSum"} | {"SingleClassLoss"}
    assert len(OPTIMIZERS) == 7 and len(SCHEDULES) == 3 and "UNet" in SEGMENTERS


@pytest.mark.parametrize(
    ("part", "name", "absent"),
    [
        ("data", "SegmentationFolder", {"names", "class_names", "num_classes"}),
        ("segmenter", "DeepLabV3Plus", {"num_classes", "channels", "value_range", "name"}),
        ("loss", "GatedCRFLoss", {"from_logits", "reduction", "name", "dtype"}),
        ("warm_up", "WarmUp", {"loss"}),
        ("stages", "SingleClassStages", {"loss"}),
    ],
)
def test_what_the_training_sets_is_no_choice(part, name, absent):
    helps, defaults, further = arguments_of(part, name)
    assert not further and helps.keys() == defaults.keys() and not absent & {*helps} and helps


def test_validation_images_are_read_as_those_of_the_training():
    assert list(arguments_of("validation", "SegmentationFolder")[1]) == ["split", "values"]


def test_a_class_of_another_part_is_told():
    with pytest.raises(ValueError, match="loss must be one of ADMLoss, .* Received: loss='UNet'"):
        arguments_of("loss", "UNet")


def test_a_part_is_completed():
    part = complete_part("loss", {"class_name": "GatedCRFLoss", "config": {"radius": 3}})
    _, defaults, _ = arguments_of("loss", "GatedCRFLoss")
    assert part == {"class_name": "GatedCRFLoss", "config": {**defaults, "radius": 3}}
    assert complete_part("loss", part) == part
    adam = {"class_name": "Adam", "config": {"beta_1": 0.5}}
    assert complete_part("optimizer", adam) == adam
    with pytest.raises(
        ValueError, match="GatedCRFLoss has no argument of that name, but radius. Received: loss.radios"
    ):
        complete_part("loss", {"class_name": "GatedCRFLoss", "config": {"radios": 3}})
    with pytest.raises(
        ValueError, match="UNet has no argument of that name, but filters. Received: segmenter.filter"
    ):
        inner = {"class_name": "UNet", "filter": 3}
        complete_part("segmenter", {"class_name": "DeepLabV3Plus", "config": {"backbone": inner}})


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("ignore_values", 7, [7]),
        ("ignore_values", None, []),
        ("ignore_values", (7, 8), [7, 8]),
        ("stuff_classes", "sky", ["sky"]),
        ("annotation", 2, "2"),
        ("split", 2, 2),
        ("color_mode", None, None),
        ("value_range", (0, 1), [0, 1]),
        ("values", {0: "a"}, {"0": "a"}),
    ],
)
def test_arguments_take_the_form_of_the_default(name, given, kept):
    part = {"class_name": "SegmentationFolder", "config": {name: given}}
    assert complete_part("data", part)["config"][name] == kept


def test_forms_of_a_part():
    expected = {"class_name": "UNet", "config": {"filters": [8]}}
    assert as_part(expected) == as_part({"class_name": "UNet", "filters": [8]}) == expected
    assert as_part("UNet") == {"class_name": "UNet", "config": {}}
    assert as_part({"filters": [8]}) == {"class_name": None, "config": {"filters": [8]}}
    with pytest.raises(ValueError, match="A part must be a class by its name, or a table .* Received: 3"):
        as_part(3)


def test_names_that_are_close_are_offered():
    check_names("", ["a"], {"a": 1}, "It")
    with pytest.raises(ValueError, match="It has no argument of that name, but steps. Received: x.stepz"):
        check_names("x.", ["stepz"], ["steps", "seed"], "It")
    with pytest.raises(
        ValueError, match="It has no argument of that name, but steps, seed. Received: lambda"
    ):
        check_names("", ["lambda"], ["steps", "seed"], "It")


def test_plain_values_are_those_of_json():
    assert plain({0: (1, (2, None))}) == {"0": [1, [2, None]]}
