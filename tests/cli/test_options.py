import dataclasses
import re

import pytest

from keras_wsseg.cli.options import describe_changes, parse_changes, shown, take_changes
from keras_wsseg.training.config import TrainingConfig
from keras_wsseg.training.parts import PARTS
from keras_wsseg.training.recipes import recipe_names


@pytest.mark.parametrize(
    ("words", "left", "changes"),
    [
        (["hearts", "--steps", "3", "--out", "run"], ["hearts", "--out", "run"], {"steps": "3"}),
        (["--steps=3", "--loss=none"], [], {"steps": "3", "loss": "none"}),
        (["--batch-size", "3", "--loss.sigma-xy", "5"], [], {"batch_size": "3", "loss.sigma_xy": "5"}),
        (["--flip", "hearts"], ["hearts"], {"flip": "yes"}),
        (["--no-flip", "yes"], ["yes"], {"flip": "no"}),
        (["--no-flip", "--tensorboard"], [], {"flip": "no", "tensorboard": "yes"}),
        (["--tensorboard", "No", "--flip=off"], [], {"tensorboard": "No", "flip": "off"}),
        (["--data.value_range", "-1,1"], [], {"data.value_range": "-1,1"}),
        (["--loss.weight", "-1"], [], {"loss.weight": "-1"}),
        (["--data.values", "0=a,255=b=c"], [], {"data.values": "0=a,255=b=c"}),
        (["--data.values=0=a"], [], {"data.values": "0=a"}),
        (["--seed", "1", "--seed", "2"], [], {"seed": "2"}),
        (["--no-steps", "3"], ["--no-steps", "3"], {}),
        (["--stepz", "3", "--lossy.a", "4"], ["--stepz", "3", "--lossy.a", "4"], {}),
        (["steps", "-steps", "--"], ["steps", "-steps", "--"], {}),
        (["--group_by", ""], [], {"group_by": ""}),
    ],
)
def test_settings_and_parts_are_taken_out_of_the_words(words, left, changes):
    assert take_changes(words) == (left, changes)


@pytest.mark.parametrize("words", [["--steps"], ["--steps", "--out", "x"], ["--loss.weight", "--no-flip"]])
def test_a_missing_value_is_told(words):
    with pytest.raises(ValueError, match=f"{words[0]} must be followed by a value. Received: none"):
        take_changes(words)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "30", 30),
        ("loss.weight", "1e-2", 0.01),
        ("loss", "DenseCRFLoss", "DenseCRFLoss"),
        ("loss", "none", None),
        ("loss", '["PartialCrossEntropy", "ADMLoss"]', ["PartialCrossEntropy", "ADMLoss"]),
        ("validation", "none", None),
        ("data.split", "test", "test"),
        ("loss.class_weights", "batch", "batch"),
        ("loss.class_weights", "1, 2.5", [1, 2.5]),
        ("segmenter.filters", "4,8", [4, 8]),
        ("data.stuff_classes", "", []),
        ("data.stuff_classes", "0,sky", [0, "sky"]),
        ("data.value_range", "-1,1.5", [-1, 1.5]),
        ("data.value_range", "none", None),
        ("data.values", "0=a, 255=b c", {"0": "a", "255": "b c"}),
        ("loss.kernels", '[{"class_name": "GaussianKernel"}]', [{"class_name": "GaussianKernel"}]),
        ("loss.gate_source", "no", False),
        ("loss.gate_source", "True", True),
        ("flip", "off", False),
        # A regular expression or path is no JSON, no list and no number.
        ("group_by", r"[a-z]+_(\d+),x", r"[a-z]+_(\d+),x"),
        ("start_from", "12", "12"),
    ],
)
def test_values_are_what_they_look_like(name, text, value):
    assert parse_changes({name: text}) == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("loss.kernels", "[1,", "--loss.kernels must be JSON where it begins so (Expecting value"),
        (
            "data.values",
            "0=a,b",
            "values must be of the form 0=background,255=cell, each value once. Received: 0=a,b",
        ),
        ("data.values", "0=a,0=b", "values must be of the form 0=background,255=cell, each value once."),
    ],
)
def test_wrong_values_are_told(name, text, message):
    with pytest.raises(ValueError) as raised:
        parse_changes({name: text})
    assert str(raised.value).startswith(message)


def test_lists_inside_a_sweep_have_another_separator():
    assert parse_changes({"segmenter.filters": "8/16"}, "/") == {"segmenter.filters": [8, 16]}


@pytest.mark.parametrize("value", [None, True, False, 3, 0.25, "unet", [4, 8], [0.5, 2.0]])
def test_what_is_shown_can_be_typed(value):
    assert parse_changes({"loss.weight": shown(value)}) == {"loss.weight": value}
    assert parse_changes({"loss.weight": shown(value, "/")}, "/") == {"loss.weight": value}


def names_in(text):
    return re.findall(r"^  --(\S+) X", text, re.MULTILINE)


def held(config):
    """Every name that `replace` takes, but for the data's folder."""
    names = {field.name for field in dataclasses.fields(config)}
    for part in PARTS:
        given = getattr(config, part)
        for one in given if isinstance(given, list) else [given] if given else []:
            names |= {f"{part}.{name}" for name in one["config"]}
    return names - {"data.root"}


@pytest.mark.parametrize("recipe", recipe_names())
def test_the_help_of_each_recipe_is_true(recipe):
    config = TrainingConfig.from_recipe(recipe, "hearts")
    short, full = (names_in(describe_changes(config, everything)) for everything in (False, True))
    assert 12 <= len(short) <= 22 and set(short) <= set(full)
    # Of every one that can be typed, and each once.
    assert len(set(full)) == len(full) and held(config) <= set(full)
    for name in full:
        assert take_changes([f"--{name}", "no"]) == ([], {name: "no"})
        part, _, argument = name.partition(".")
        if argument:
            # What a name means is what the configuration holds under it.
            assert config.replace({name: held_value(getattr(config, part), argument)}) == config


def held_value(value, argument):
    terms = value if isinstance(value, list) else [value]
    inner, _, last = argument.rpartition(".")
    found = [one["config"] for one in terms if last in one["config"]]
    return found[0 if inner else -1][last]


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_option_in_the_help_has_words(recipe):
    text = describe_changes(TrainingConfig.from_recipe(recipe, "hearts"), everything=True)
    lines = text.splitlines()
    for place, line in enumerate(lines):
        name = re.match(r"  --(\S+) X *(.*)", line)
        # Keras' own classes say themselves what their arguments are.
        if name and not name[1].startswith(("optimizer.", "schedule.")):
            words = name[2] or lines[place + 1].strip()
            assert words and not words.startswith(("(default", "see ")), line


def test_the_help_shows_what_was_chosen():
    config = TrainingConfig.from_recipe(
        "scribbles", "hearts", {"loss": "DenseCRFLoss", "stages": None, "steps": 7}
    )
    text = describe_changes(config)
    assert "loss: PartialCrossEntropy + DenseCRFLoss" in text and "--loss.radius" not in text
    assert re.search(r"--steps X [^-]*\(default:\s+7\)", text)
    assert "--help all" in text and "\nstages:" not in text
    assert "--loss.partial_cross_entropy.weight X" in describe_changes(config, everything=True)
