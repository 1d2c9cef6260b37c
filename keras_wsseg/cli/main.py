"""The command line: which commands there are, and what becomes of an error."""

import argparse
import contextlib
import os
import re
import signal
import sys
import threading

import keras_wsseg
from keras_wsseg.cli import (
    class_by_class_command,
    demo_command,
    evaluate_command,
    export_command,
    gradient_command,
    predict_command,
    propose_command,
    pseudo_label_command,
    recipes_command,
    serve_command,
    sweep_command,
    train_command,
)
from keras_wsseg.cli.options import HelpFormatter, describe_changes, parse_changes, take_changes
from keras_wsseg.training.config import TrainingConfig

_COMMANDS = (
    train_command,
    recipes_command,
    evaluate_command,
    predict_command,
    export_command,
    serve_command,
    sweep_command,
    class_by_class_command,
    propose_command,
    pseudo_label_command,
    gradient_command,
    demo_command,
)

_DESCRIPTION = """\
Train a segmenter from scribbles, clicks, tags or dense labels, see what it learned, and ship it as one ONNX
file.
"""

_EPILOG = """\
a first time through:
  keras-wsseg demo                                        # three minutes, no data needed
  keras-wsseg train hearts --out runs/hearts              # hearts/ holds images/ and scribbles/
  keras-wsseg export runs/hearts hearts.onnx
  keras-wsseg predict hearts.onnx new/*.png --out masks

Each command explains itself: keras-wsseg train --help. With KERAS_WSSEG_DEBUG=1 in the environment an error
shows where it came from.
"""


def main(argv=None):
    """Runs one command.

    Args:
        argv: the words after `keras-wsseg`; by default those of this process.

    Returns:
        The exit status: 0; 1 where some images were left out; 2 after an error, told in one line;
        130 after Ctrl-C. SIGTERM ends the process with 143.
    """
    try:
        arguments = _parse(_words(sys.argv[1:] if argv is None else argv))
        with _terminated_in_order():
            return arguments.run(arguments) or 0
    except KeyboardInterrupt:
        print("keras-wsseg: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough of it; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get("KERAS_WSSEG_DEBUG"):
            raise
        print(f"keras-wsseg: error: {_single_line(error)}", file=sys.stderr)
        return 2


def _parse(words):
    """The arguments; `changes` are the settings and parts of a training among them."""
    parser, commands = _parser()
    command = commands.choices.get(next(iter(words), None))
    if command is None:
        return parser.parse_args(words)
    arguments, words = argparse.Namespace(), words[1:]
    if command.get_default("takes_changes"):
        if "--help" in words or "-h" in words:
            _help(command, words)
        words, arguments.changes = take_changes(words)
    # By itself, so that what is wrong is told with the help of the command.
    return command.parse_args(words, arguments)


def _help(command, words):
    """Prints the help of a command that trains, with the parts of the recipe and classes that were typed."""
    place = next(place for place, word in enumerate(words) if word in ("--help", "-h"))
    everything = words[place + 1 : place + 2] == ["all"]
    words, changes = take_changes(words[:place] + words[place + 1 + everything :])
    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--recipe", default=command.get_default("recipe"))
    recipe = recipe.parse_known_args(words)[0].recipe
    config = TrainingConfig.from_recipe(recipe, "DATA", parse_changes(changes))
    epilog, command.epilog = command.epilog, None
    print(command.format_help())
    print(describe_changes(config, everything))
    print(f"\n{epilog}")
    raise SystemExit(0)


def _words(argv):
    """The words, with `--value-range -1,1` as `--value-range=-1,1`: argparse takes `-1,1` for an option."""
    words = []
    for word in argv:
        if words and words[-1].startswith("--") and re.fullmatch(r"-[\d.][\d.eE+-]*(,[\d.eE+-]+)+", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


@contextlib.contextmanager
def _terminated_in_order():
    """Lets SIGTERM raise, since by default it ends a process on the spot and leaves half-written files."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number, frame):
    raise SystemExit(128 + number)


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the words, and where to read more."""

    def error(self, message):
        self.exit(2, f"keras-wsseg: error: {message} (see {self.prog} --help)\n")


def _parser():
    parser = _Parser(
        prog="keras-wsseg",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    version = f"keras-wsseg {keras_wsseg.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    shown = commands.add_parser("version", help="print the version", formatter_class=HelpFormatter)
    shown.set_defaults(run=lambda _: print(version))
    return parser, commands


def _single_line(error):
    text = " ".join(str(error).split())
    if isinstance(error, ImportError) and getattr(error, "name", None) in ("onnx", "tf2onnx", "onnxruntime"):
        return f"{error.name} is missing: install keras-wsseg with its extra [export]"
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and text:
        return text
    return f"{type(error).__name__}: {text or 'no further words'} (KERAS_WSSEG_DEBUG=1 shows where)"
