"""Options out of the fields of `TrainingConfig`, so that each setting is described once."""

import argparse
import dataclasses
import pathlib
import typing

from keras_wsseg.training.config import TrainingConfig

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and gives options room."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=32, width=108)


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


def add_settings(parser, leave_out=()):
    """Adds an option for every field of `TrainingConfig` but `data`, which each command asks for itself.

    Args:
        parser: of the command.
        leave_out: names of fields that the command sets by itself.
    """
    groups = {}
    for field in fields():
        if field.name in leave_out:
            continue
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_setting(groups[title], field)


def add_setting(parser, name):
    """Adds the option for one field of `TrainingConfig` to a command that is no training."""
    _add_setting(parser, next(field for field in fields() if field.name == name))


def fields():
    """The fields of `TrainingConfig` that are options, in the order of their groups."""
    return [field for field in dataclasses.fields(TrainingConfig) if field.name != "data"]


def given_settings(arguments):
    """The settings that were typed, by name: what is not typed is left to the defaults or to a run folder."""
    given = {
        field.name: getattr(arguments, field.name) for field in fields() if hasattr(arguments, field.name)
    }
    if given.get("start_from"):
        # A training may be resumed from another folder than it was begun in.
        given["start_from"] = str(pathlib.Path(given["start_from"]).resolve())
    return given


def parse_value(field, text, separator=","):
    """`text` as a value of `field`.

    Args:
        field: of `TrainingConfig`.
        text: as typed; `none` where the field may be None, and for an empty list where that is its default.
        separator: between the parts of a list.

    Raises:
        ValueError: if it is no such value.
    """
    name = option_name(field.name)
    if text.lower() == "none" and type(None) in typing.get_args(field.type):
        return None
    if text.lower() == "none" and field.default == ():
        return ()
    if typing.get_origin(field.type) is tuple:
        if text == "":
            return ()
        kind = typing.get_args(field.type)[0]
        parts = text.split(separator)
        return tuple(parts) if kind is str else tuple(_number(name, kind, part) for part in parts)
    kind = _kind(field)
    if kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError(f"{name} must be true or false. Received: {text!r}")
        return text.lower() in _TRUE
    return _number(name, kind, text) if kind in (int, float) else text


def option_name(name):
    """How the setting `name` is typed."""
    return "--" + name.replace("_", "-")


def _number(name, kind, text):
    try:
        return kind(text)
    except ValueError:
        wanted = "an integer" if kind is int else "a number"
        raise ValueError(f"{name} must be {wanted}. Received: {text!r}") from None


def _add_setting(group, field):
    limits = field.metadata
    # A percent sign would be taken for a place to fill in.
    words = f"{limits['help']} (default: {_shown(field.default)})".replace("%", "%%")
    common = {"dest": field.name, "default": argparse.SUPPRESS, "help": words}
    if _kind(field) is bool:
        group.add_argument(option_name(field.name), action=argparse.BooleanOptionalAction, **common)
        return
    if limits["choices"]:
        common["choices"] = limits["choices"]
        common["metavar"] = "{" + ",".join(map(str, limits["choices"])) + "}"
    else:
        common["metavar"] = _metavar(field)
    group.add_argument(option_name(field.name), type=_converter(field), **common)


def _converter(field):
    def convert(text):
        try:
            return parse_value(field, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _metavar(field):
    if typing.get_origin(field.type) is tuple:
        return "TEXT,TEXT,..." if typing.get_args(field.type)[0] is str else "N,N,..."
    return {int: "N", float: "X"}.get(_kind(field), "TEXT")


def _kind(field):
    """The field's type, without the None that it may be too."""
    kinds = [kind for kind in typing.get_args(field.type) if kind is not type(None)]
    return kinds[0] if kinds else field.type


def _shown(value):
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
