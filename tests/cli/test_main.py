import re
import shlex
import subprocess
import sys

import pytest

import keras_wsseg
from keras_wsseg.cli import evaluate_command, sweep_command, train_command
from keras_wsseg.cli import main as main_module
from keras_wsseg.cli.main import main
from keras_wsseg.cli.options import given_changes
from keras_wsseg.training.config import TrainingConfig

COMMANDS = ("train", "evaluate", "predict", "export", "serve", "sweep", "pseudo-label", "demo")
COMMANDS += ("propose", "gradient", "class-by-class", "recipes")


def shown(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command(capsys):
    text = shown(capsys, "--help")
    for command in (*COMMANDS, "version"):
        assert re.search(rf"\n    {command}\s", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(capsys, command):
    text = shown(capsys, command, "--help")
    assert f"  keras-wsseg {command} " in text.partition("\nexample")[2]
    assert "It needs " in " ".join(text.split()) or command == "recipes"


@pytest.mark.parametrize("command", ["train", "sweep", "class-by-class"])
def test_help_shows_the_recipe_and_the_classes_that_were_typed(capsys, command):
    text = shown(capsys, command, "--help", "--segmenter", "DeepLabV3Plus", "--seed=3")
    assert "segmenter: DeepLabV3Plus" in text and "--segmenter.backbone X" in text
    assert "--segmenter.atrous_rates" not in text
    assert "(default: 3)" in " ".join(text.split())
    text = shown(capsys, command, "--recipe", "tags", "-h", "all")
    assert "loss: AdaptivePriorLoss + NeighborhoodLoss" in text and "--loss.adaptive_prior.weight X" in text
    assert text.index("\nsettings:") < text.index("\nexample")


def test_help_tells_of_a_recipe_that_is_none(fails):
    assert fails("train", "--help", "--recipe", "none").startswith("recipe must be one of clicks, ")
    assert fails("train", "--help", "--segmenter", "unet").startswith("segmenter must be one of UNet, ")


def test_sweep_shows_the_published_tables(capsys):
    text = shown(capsys, "sweep", "--help")
    assert "--vary loss=none,GatedCRFLoss,DenseCRFLoss --seeds 3" in text
    assert "--vary loss.sigma_xy+loss.radius=6:3,12:5,20:8" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_the_help_are_commands(capsys, command):
    """Each line can be parsed: no option in it is of yesterday."""
    text = shown(capsys, command, "--help").replace("\\\n", " ")
    examples = [line for line in text.splitlines() if line.startswith("  keras-wsseg ")]
    assert examples
    for line in examples:
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        arguments = main_module._parse(main_module._words(words))
        recipe = getattr(arguments, "recipe", "").replace("mine.toml", "scribbles")
        if arguments.run is train_command.run:
            TrainingConfig.from_recipe(recipe, "hearts", given_changes(arguments))
        elif arguments.run is sweep_command.run:
            config = TrainingConfig.from_recipe(recipe, "hearts", given_changes(arguments))
            for names, values in sweep_command.parse_variations(arguments.vary).items():
                for value in values:
                    value = value if "+" in names else (value,)
                    assert config.replace(dict(zip(names.split("+"), value, strict=True)))


def test_version(capsys):
    assert shown(capsys, "--version") == f"keras-wsseg {keras_wsseg.__version__}\n"
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"keras-wsseg {keras_wsseg.__version__}\n"


FRAMEWORKS = {"keras", "tensorflow", "rich", "PIL", "scipy"}


def test_help_loads_no_framework():
    """Of every recipe, in full: what classes take is read without importing them."""
    code = """
import sys
from keras_wsseg.cli.main import main
from keras_wsseg.training.recipes import recipe_names
helps = [["train", "--help", "all", "--recipe", name] for name in recipe_names()]
for words in (["sweep", "--help"], *helps):
    try:
        main(words)
    except SystemExit as stop:
        assert stop.code == 0, words
main(["recipes"])
print(*{name.split(".")[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not FRAMEWORKS & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "the following arguments are required: COMMAND (see keras-wsseg --help)"),
        (["fly"], "argument COMMAND: invalid choice: 'fly'"),
        (["train", "x"], "the following arguments are required: --out (see keras-wsseg train --help)"),
        (["train", "x", "--out", "y", "--step", "3"], "unrecognized arguments: --step 3"),
        (
            ["recipes", "magic"],
            "recipe must be one of clicks, full, rrm, scribbles, single-class, tags, or a ",
        ),
    ],
)
def test_wrong_words_are_told_in_a_line(fails, argv, text):
    assert fails(*argv).startswith(text)


def raising(monkeypatch, error):
    def run(arguments):
        raise error

    monkeypatch.setattr(evaluate_command, "run", run)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("radius\n  must be odd"), "radius must be odd"),
        (RuntimeError("out of memory"), "RuntimeError: out of memory (KERAS_WSSEG_DEBUG=1 shows where)"),
        (ZeroDivisionError(), "ZeroDivisionError: no further words (KERAS_WSSEG_DEBUG=1 shows where)"),
        (
            ModuleNotFoundError("no", name="tf2onnx"),
            "tf2onnx is missing: install keras-wsseg with its extra [export]",
        ),
        (FileNotFoundError(2, "No such file", "a.png"), "[Errno 2] No such file: 'a.png'"),
    ],
)
def test_errors_become_a_line(monkeypatch, fails, error, text):
    monkeypatch.delenv("KERAS_WSSEG_DEBUG", raising=False)
    raising(monkeypatch, error)
    assert fails("evaluate", "a", "b") == text


def test_debugging_shows_where_an_error_came_from(monkeypatch):
    monkeypatch.setenv("KERAS_WSSEG_DEBUG", "1")
    raising(monkeypatch, RuntimeError("here"))
    with pytest.raises(RuntimeError, match="here"):
        main(["evaluate", "a", "b"])


def test_ctrl_c_is_no_error(monkeypatch, fails):
    raising(monkeypatch, KeyboardInterrupt())
    assert fails("evaluate", "a", "b", status=130) == "keras-wsseg: interrupted"


def test_a_whole_command_leaves_the_error_stream_empty(trained, folder):
    command = [sys.executable, "-m", "keras_wsseg.cli", "evaluate", str(trained), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "ellipse" in done.stdout and "mean" in done.stdout
