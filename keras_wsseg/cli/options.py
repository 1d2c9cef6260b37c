"""Options out of the settings and parts of a training, each described once, where it is defined."""

import argparse
import dataclasses
import json
import pathlib
import re
import textwrap

from keras_wsseg.imaging.label_values import parse_values
from keras_wsseg.training.config import TrainingConfig, term_name
from keras_wsseg.training.parts import PARTS, arguments_of
from keras_wsseg.training.recipes import recipe_names
from keras_wsseg.training.signatures import parameters

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_SETTINGS = {field.name: field for field in dataclasses.fields(TrainingConfig) if field.name not in PARTS}
_SWITCHES = tuple(name for name, field in _SETTINGS.items() if field.type is bool)
_OFTEN = {
    *("segmenter", "loss"),
    *("steps", "batch_size", "image_size", "mode", "start_from", "encoder_rate", "seed", "group_by"),
    *("data.annotation", "data.split", "data.value_range", "data.values", "data.tags", "data.positives"),
    *("data.negatives", "data.object_name", "segmenter.filters", "segmenter.backbone", "segmenter.weights"),
    *("loss.class_weights", "loss.weight", "loss.crf_weight", "loss.radius", "loss.sigma_xy"),
    *("loss.sigma_rgb", "optimizer.learning_rate", "stages.annealing_epochs", "stages.normal_epochs"),
}
_WIDTH, _INDENT = 108, 32


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and gives options room."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=_INDENT, width=_WIDTH)


def add_command(commands, name, summary, description, example):
    """Adds a command whose help begins with what it does and ends with an example; returns its parser."""
    lines = example.strip().splitlines()
    title = "examples" if len(lines) > 1 else "example"
    return commands.add_parser(
        name,
        help=summary,
        description=description.strip(),
        epilog="\n  ".join([f"{title}:", *lines]),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


def add_recipe(parser, default="scribbles"):
    """Adds `--recipe`; the settings and parts that go on top of it are read by `take_changes`."""
    parser.add_argument(
        "--recipe",
        default=default,
        metavar="NAME",
        help=f"what to start from: {', '.join(recipe_names())}, or a .toml or .json file; "
        f"`keras-wsseg recipes NAME` prints one (default: {default})",
    )
    parser.set_defaults(takes_changes=True)


def add_argument_of(parser, room, function, name, option=None, **settings):
    """Adds an option for an argument of a public function or class, in the words of its docstring."""
    found = parameters(room, function)[0][name]
    default = "" if found.default in (None, ()) else f" (default: {shown(found.default)})"
    settings = {
        "default": found.default,
        "help": f"{_first_sentence(found.help)}{default}".replace("%", "%%"),
        "dest": name,
        **settings,
    }
    if "choices" not in settings:
        settings.setdefault("metavar", "X")
    parser.add_argument(option or "--" + name.replace("_", "-"), **settings)


def add_values(parser):
    """Adds `--values`, what the values in label maps mean."""
    parser.add_argument(
        "--values",
        type=_values,
        metavar="V=NAME,...",
        help="what the values in the label maps mean where they are not ids of classes, such as "
        "0=background,255=cell; unlabeled and padding are names too",
    )


def _values(text):
    try:
        return parse_values(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def take_changes(words):
    """Takes the settings and parts out of the words of a command line.

    Args:
        words: as typed, such as `["train", "hearts", "--loss.radius", "5"]`.

    Returns:
        `(the other words, dict from name to text)`; a setting that is on or off may stand without a text, as
        `--flip` or `--no-flip`.

    Raises:
        ValueError: if a value is missing.

    Example:

    >>> take_changes(["hearts", "--loss.radius", "5", "--no-flip", "--out", "run"])
    (['hearts', '--out', 'run'], {'loss.radius': '5', 'flip': 'no'})
    """
    left, changes, words = [], {}, list(words)
    while words:
        word = words.pop(0)
        option, equals, text = word.partition("=")
        name = option.removeprefix("--").replace("-", "_") if option.startswith("--") else ""
        if name.removeprefix("no_") in _SWITCHES and not equals:
            told = words and words[0].lower() in _TRUE + _FALSE and not name.startswith("no_")
            text = words.pop(0) if told else "no" if name.startswith("no_") else "yes"
            name = name.removeprefix("no_")
        elif name.split(".")[0] not in (*_SETTINGS, *PARTS):
            left.append(word)
            continue
        elif equals:
            pass
        elif words and not words[0].startswith("--"):
            text = words.pop(0)
        else:
            raise ValueError(f"{word} must be followed by a value. Received: none")
        changes[name] = text
    return left, changes


def given_changes(arguments):
    """What was typed of settings and parts, as `TrainingConfig.replace` takes it."""
    changes = parse_changes(arguments.changes)
    if "data.root" in changes:
        raise ValueError(f"data.root is the folder DATA, and no option. Received: {changes['data.root']!r}")
    if changes.get("start_from"):
        # A training may be resumed from another folder than it was begun in.
        changes["start_from"] = str(pathlib.Path(changes["start_from"]).resolve())
    return changes


def parse_changes(texts, separator=","):
    """Values out of texts, by name.

    Args:
        texts: dict from name to text.
        separator: between the parts of a list.

    Raises:
        ValueError: if a text is no such value.

    Example:

    >>> parse_changes({"steps": "500", "segmenter.filters": "8,16", "data.values": "0=a,255=b"})
    {'steps': 500, 'segmenter.filters': [8, 16], 'data.values': {'0': 'a', '255': 'b'}}
    """
    return {name: _parsed(name, text, separator) for name, text in texts.items()}


def _parsed(name, text, separator):
    if text.lower() == "none":
        return None
    if name in _SETTINGS and "str" in str(_SETTINGS[name].type):
        return text
    if text[:1] in ("[", "{", '"'):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(
                f"--{name} must be JSON where it begins so ({error}). Received: {text}"
            ) from None
    if name in PARTS:
        return text
    parts = text.split(separator)
    if re.match(r"\s*\d+\s*=", text):
        return {str(value): said for value, said in parse_values(parts).items()}
    values = [_literal(part.strip()) for part in parts if part.strip()]
    return values[0] if len(parts) == len(values) == 1 else values


def _literal(text):
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def describe_changes(config, everything=False):
    """The help of the settings and of the parts of a configuration.

    Args:
        config: a `TrainingConfig`.
        everything: all of them in full, rather than what is touched often.
    """
    options = []
    for name, field in _SETTINGS.items():
        choices = field.metadata["choices"]
        words = field.metadata["help"] + (f"; one of {', '.join(choices)}" if choices else "")
        options += _option(name, words, getattr(config, name), everything)
    sections = {"settings:": options}
    for part, (_, classes) in PARTS.items():
        given = getattr(config, part)
        chosen = given if isinstance(given, list) else [given] if given else []
        options = _option(part, f"another class: {', '.join(classes)}", None, everything)
        # Without the name of a term, an argument is that of the last one that has it.
        last = {name: one["class_name"] for one in chosen for name in one["config"]}
        for one in chosen:
            helps, _, further = arguments_of(part, one["class_name"])
            term = f"{part}.{term_name(one['class_name'])}" if part == "loss" else part
            for name in {**helps, **one["config"]}:
                own = last.get(name, one["class_name"]) == one["class_name"]
                if name != "root":
                    dotted = f"{part if own else term}.{name}"
                    options += _option(dotted, helps.get(name, ""), one["config"].get(name), everything)
            if further and everything:
                options.append(f"  and any other argument of {one['class_name']}")
        sections[f"{part}: {' + '.join(one['class_name'] for one in chosen) or 'none'}"] = options
    lines = [line for title, options in sections.items() if options for line in ("", title, *options)][1:]
    if not everything:
        lines += ["", "These are the ones touched most; --help all shows every one."]
    return "\n".join(lines)


def _option(name, words, default, everything):
    if not everything and name not in _OFTEN:
        return []
    words = words.rstrip(".").replace("`", "") if everything else _first_sentence(words)
    words += f" (default: {shown(default)})" if default is not None else ""
    head = f"  --{name} X"
    body = textwrap.wrap(words, _WIDTH - _INDENT) or [""]
    first = [head] if len(head) > _INDENT - 2 else [f"{head:{_INDENT}}{body.pop(0)}"]
    return [line.rstrip() for line in (*first, *(" " * _INDENT + line for line in body))]


def _first_sentence(words):
    """It says what an argument is; the reference has the rest."""
    return re.split(r"\. (?=[A-Z])", words)[0].rstrip(".").replace("`", "")


def shown(value, separator=","):
    """A value as it is typed."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return value.get("class_name") or json.dumps(value)
    if isinstance(value, (list, tuple)):
        return separator.join(map(shown, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
