import dataclasses
import subprocess
import sys

import pytest

import keras_wsseg
from keras_wsseg.cli import evaluate_command
from keras_wsseg.cli.main import main
from keras_wsseg.training.config import TrainingConfig

COMMANDS = ("train", "evaluate", "predict", "export", "serve", "sweep", "pseudo-label", "demo")


def shown(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command(capsys):
    text = shown(capsys, "--help")
    for command in (*COMMANDS, "version"):
        assert f"\n    {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(capsys, command):
    text = shown(capsys, command, "--help")
    assert f"  keras-wsseg {command} " in text.partition("\nexample")[2]
    assert "It needs " in " ".join(text.split())


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_every_setting_is_an_option_with_its_default(capsys, command):
    text = " ".join(shown(capsys, command, "--help").split())
    for field in dataclasses.fields(TrainingConfig):
        if field.name != "data":
            assert f" --{field.name.replace('_', '-')}" in text
            assert f"{field.metadata['help']} (default: " in text
    for title in ("data:", "segmenter:", "training:", "regularized loss:", "output:"):
        assert title in text


def test_sweep_shows_the_published_tables(capsys):
    text = shown(capsys, "sweep", "--help")
    assert "--vary method=pce,gated-crf,full --seeds 3" in text
    assert "--vary sigma_xy+radius=3:3,6:5,10:8" in text


def test_version(capsys):
    assert shown(capsys, "--version") == f"keras-wsseg {keras_wsseg.__version__}\n"
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"keras-wsseg {keras_wsseg.__version__}\n"


def test_help_loads_no_framework():
    code = """
import sys
from keras_wsseg.cli.main import main
try:
    main(["sweep", "--help"])
except SystemExit:
    print(*{name.split(".")[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "rich", "PIL", "scipy"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "the following arguments are required: COMMAND (see keras-wsseg --help)"),
        (["fly"], "argument COMMAND: invalid choice: 'fly'"),
        (["train", "x"], "the following arguments are required: --out (see keras-wsseg train --help)"),
        (["train", "x", "--out", "y", "--step", "3"], "unrecognized arguments: --step 3"),
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
