"""What is read from the sources is what the classes say once they are imported."""

import importlib
import inspect

import pytest

from keras_wsseg.cli import options
from keras_wsseg.cli.main import _parser
from keras_wsseg.training.parts import PARTS, arguments_of
from keras_wsseg.training.signatures import parameters, public_names

CLASSES = sorted({(room, name) for room, classes in PARTS.values() if room for name in classes})


@pytest.fixture(scope="module")
def on_the_command_line():
    """Every `(room, function, argument)` of which an option has the words."""
    used = []

    def spy(parser, room, function, name, *arguments, **settings):
        used.append((room, function, name))
        return original(parser, room, function, name, *arguments, **settings)

    original = options.add_argument_of
    with pytest.MonkeyPatch.context() as patch:
        for module in ("propose_command", "export_options", "refine"):
            patch.setattr(importlib.import_module(f"keras_wsseg.cli.{module}"), "add_argument_of", spy)
        _parser()
    return used


def check(room, name):
    made = getattr(importlib.import_module(f"keras_wsseg.{room}"), name)
    signature = inspect.signature(made).parameters.values()
    named = [one for one in signature if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    found, further = parameters(room, name)
    assert list(found) == [one.name for one in named]
    assert further == any(one.kind is one.VAR_KEYWORD for one in signature)
    for one in named:
        default = None if one.default is one.empty else one.default
        read = found[one.name].default
        assert (type(read), read) == (type(default), default), one.name
    docstring = " ".join(inspect.getdoc(made).split())
    for one in named:
        words = found[one.name].help
        assert words == " ".join(words.split())
        # In its own docstring, or in that of the class to which this one refers.
        assert words in docstring or "see `" in docstring or "as of `" in docstring, one.name


@pytest.mark.parametrize(("room", "name"), CLASSES)
def test_classes_of_a_training(room, name):
    check(room, name)


def test_functions_of_options(on_the_command_line):
    functions = {(room, function) for room, function, _ in on_the_command_line}
    assert ("export", "ExportOptions") in functions and ("annotations", "grabcut_proposals") in functions
    for room, function in functions:
        check(room, function)


def test_every_argument_that_is_shown_has_words(on_the_command_line):
    shown = [(name, parameters(room, function)[0][name].help) for room, function, name in on_the_command_line]
    for part, (room, classes) in PARTS.items():
        if room is not None:
            shown += [pair for one in classes for pair in arguments_of(part, one)[0].items()]
    assert len(shown) > 100
    for name, words in shown:
        assert len(words) > 10 and not words.startswith(("see `", "as of `", "as in `")), name


def test_rooms_that_load_late_are_read_too():
    assert public_names("export")["to_onnx"] == "onnx_writer"
    assert "GatedCRFLoss" in public_names("losses") and "SegmentationFolder" in public_names("data")


def test_constants_by_name_are_looked_up():
    assert parameters("annotations", "grabcut_proposals")[0]["unclaimed"].default == 255
    assert parameters("export", "to_onnx")[0]["outputs"].default == ("probabilities", "classes")


def test_words_of_another_class_are_found():
    helps = {name: one.help for name, one in parameters("losses", "SingleClassLoss")[0].items()}
    assert helps["target_fraction"] == parameters("losses", "VolumetricLoss")[0]["target_fraction"].help
    prior = parameters("losses", "AdaptivePriorLoss")[0]["grid"].help
    assert prior == parameters("layers", "PixelLabelEstimator")[0]["grid"].help


def test_other_names_are_told():
    with pytest.raises(ValueError, match="losses must be one of ADMLoss, .* Received: losses='CRFLoss'"):
        parameters("losses", "CRFLoss")
