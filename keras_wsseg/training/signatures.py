"""What the classes of this library take, read from their sources: showing it takes no Keras.

To import the classes instead costs four seconds, which is what libraries that read signatures would do.
"""

import ast
import dataclasses
import functools
import importlib.util
import inspect
import operator
import pathlib
import re

_OPERATORS = {ast.Div: operator.truediv, ast.Pow: operator.pow, ast.Mult: operator.mul}
_NO_DEFAULT = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument of a class.

    Attributes:
        name: as in the signature.
        default: its value there; None where it has none.
        help: what the docstring says of it.
    """

    name: str
    default: object
    help: str


@functools.cache
def parameters(room, name):
    """The arguments of a public class or function of this library.

    Args:
        room: sub-package that exports it, such as `"losses"`.
        name: of the class.

    Returns:
        `(dict of Parameter by name, whether it passes further ones on)`.

    Raises:
        ValueError: if the room has no such name.

    Example:

    >>> parameters("losses", "GatedCRFLoss")[0]["radius"].default
    5
    """
    if name not in public_names(room):
        raise ValueError(
            f"{room} must be one of {', '.join(sorted(public_names(room)))}. Received: {room}={name!r}"
        )
    tree, node = _definition(room, name)
    helps = argument_helps(ast.get_docstring(node) or "")
    if isinstance(node, ast.ClassDef):
        made = [item for item in node.body if getattr(item, "name", None) == "__init__"]
        if not made:
            return _fields(tree, node, helps), False
        node = made[0]
    arguments = node.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args) if one.arg != "self"]
    defaults = [_NO_DEFAULT] * (len(names) - len(arguments.defaults)) + arguments.defaults
    names += [one.arg for one in arguments.kwonlyargs]
    defaults += arguments.kw_defaults
    found = {
        one: Parameter(one, _constant(default, tree), _resolved(room, one, helps.get(one, "")))
        for one, default in zip(names, defaults, strict=True)
    }
    return found, arguments.kwarg is not None


def _fields(tree, node, helps):
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    return {
        item.target.id: Parameter(item.target.id, _constant(item.value, tree), helps.get(item.target.id, ""))
        for item in fields
    }


@functools.cache
def public_names(room):
    """The classes and functions that a room exports, with the module that defines each."""
    tree = ast.parse((_folder(room) / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        # Rooms that load late say where their names live in a table.
        if isinstance(node, ast.Assign) and node.targets[0].id == "_HOMES":
            return ast.literal_eval(node.value)
    return {
        alias.name: node.module.rpartition(".")[2]
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if node.module.startswith(f"keras_wsseg.{room}.")
    }


@functools.cache
def _folder(room):
    # One room may lie elsewhere: the package says where.
    return pathlib.Path(importlib.util.find_spec(f"keras_wsseg.{room}").submodule_search_locations[0])


@functools.cache
def _definition(room, name):
    tree = _tree(room, public_names(room)[name])
    return tree, next(node for node in tree.body if getattr(node, "name", None) == name)


@functools.cache
def _tree(room, module):
    return ast.parse((_folder(room) / f"{module}.py").read_text(encoding="utf-8"))


def _constant(node, tree):
    """The value of a default: a literal, arithmetic on some, or a constant of this library by its name."""
    if node is _NO_DEFAULT or node is None:
        return None
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_constant(node.left, tree), _constant(node.right, tree))
    for item in tree.body if isinstance(node, ast.Name) else ():
        if isinstance(item, ast.Assign) and item.targets[0].id == node.id:
            return _constant(item.value, tree)
        if isinstance(item, ast.ImportFrom) and node.id in [alias.name for alias in item.names]:
            return _constant(node, _tree(*item.module.split(".")[1:]))
    return ast.literal_eval(node)


def argument_helps(docstring):
    """What a docstring says of each argument, a dict by name."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    helps = {}
    for entry in re.split(r"\n(?=    \S)", section[1].rstrip() if section else ""):
        names, _, words = entry.partition(":")
        for one in names.split(","):
            helps[one.strip().lstrip("*")] = " ".join(words.split())
    return helps


def _resolved(room, name, words):
    """The words themselves, or those of the class, here or among the layers, that they refer to."""
    other = re.fullmatch(r"(?:see|as of|as in) `(\w+)`\.?", words)
    for place in (room, "layers"):
        if other and other[1] in public_names(place):
            return argument_helps(ast.get_docstring(_definition(place, other[1])[1]))[name]
    return words
