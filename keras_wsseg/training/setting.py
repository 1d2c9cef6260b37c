"""How one setting of a training is described and checked."""

import dataclasses
import re
import types
import typing

from keras_wsseg.imaging.file_names import normal_name


def option(group, default, help, choices=None, least=None, above=None):
    """A field of a frozen dataclass that is an option of the command line too.

    Args:
        group: title under which the command line lists it.
        default: its value where nothing is said.
        help: what it does, in a few words.
        choices: the allowed values, or None.
        least: smallest allowed number, or None.
        above: number it must be greater than, or None.
    """
    limits = {"group": group, "help": help, "choices": choices, "least": least, "above": above}
    return dataclasses.field(default=default, metadata=limits)


def check(field, value):
    """Raises `TypeError` or `ValueError` unless `value` is one of the field's type and within its limits."""
    name, limits = field.name, field.metadata
    if not _is_of(field.type, value):
        expected = getattr(field.type, "__name__", str(field.type))
        if typing.get_origin(field.type) is tuple:
            expected = f"a tuple of {typing.get_args(field.type)[0].__name__}"
        raise TypeError(f"{name} must be {expected}. Received: {name}={value!r}")
    if value is None:
        return
    if limits["choices"] and value not in limits["choices"]:
        choices = ", ".join(map(str, limits["choices"]))
        raise ValueError(f"{name} must be one of {choices}. Received: {name}={value!r}")
    # The comparisons are turned round so that NaN fails them too.
    if limits["least"] is not None and not value >= limits["least"]:
        raise ValueError(f"{name} must be at least {limits['least']}. Received: {name}={value!r}")
    if limits["above"] is not None and not value > limits["above"]:
        raise ValueError(f"{name} must be greater than {limits['above']}. Received: {name}={value!r}")


def check_group_by(pattern):
    """`pattern` compiled, or a `ValueError` where it is no regular expression with a group."""
    try:
        compiled = re.compile(normal_name(pattern))
    except re.error as error:
        raise ValueError(
            f"group_by must be a regular expression ({error}). Received: group_by={pattern!r}"
        ) from error
    if not compiled.groups:
        raise ValueError(f"group_by must have a group in parentheses. Received: group_by={pattern!r}")
    return compiled


def _is_of(kind, value):
    if isinstance(kind, types.UnionType):
        return any(_is_of(one, value) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(typing.get_args(kind)[0], one) for one in value)
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)
