"""The reference: a page for each room, with every name that the room makes public."""

import ast
import importlib
import inspect
import itertools
import pathlib

import keras_wsseg
from site_tools.docstrings import inline, to_rst

FURTHER_ROOMS = ("imaging",)


def rooms():
    """The public rooms by name, those that `keras_wsseg` does not list itself included."""
    return {
        name: importlib.import_module(f"keras_wsseg.{name}")
        for name in sorted((*keras_wsseg._ROOMS, *FURTHER_ROOMS))
    }


def public_names():
    """`(room, name)` of all that is public; a room without `__all__` gives what it defines."""
    found = []
    for room, module in rooms().items():
        names = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if (inspect.isfunction(thing) or inspect.isclass(thing))
            and thing.__module__ == module.__name__
            and not name.startswith("_")
        ]
        found += [(room, name) for name in names]
    return found


class Links:
    """From what stands in a code span of a docstring to the public name that it means."""

    def __init__(self):
        self._full = {"WeaklySupervisedModel": "keras_wsseg.models.WeaklySupervisedModel"}
        for room, name in public_names():
            full = f"keras_wsseg.{room}.{name}"
            self._full[f"{room}.{name}"] = full
            home = getattr(getattr(importlib.import_module(f"keras_wsseg.{room}"), name), "__module__", "")
            if name not in self._full or f"keras_wsseg.{room}." in f"{home}.":
                self._full[name] = full

    def __call__(self, text):
        name = text.removeprefix("wsseg.").removeprefix("keras_wsseg.").removesuffix("()")
        if name in self._full:
            return self._full[name]
        owner, _, member = name.rpartition(".")
        if owner in self._full:
            room, _, thing = self._full[owner].removeprefix("keras_wsseg.").partition(".")
            found = vars(getattr(importlib.import_module(f"keras_wsseg.{room}"), thing)).get(member)
            if inspect.getdoc(found) and not member.startswith("_"):
                return f"{self._full[owner]}.{member}"
        return None


def shown_bases(thing, link):
    """The nearest bases that have a place here or are Keras' own; what lies in a room has none."""

    def known(base):
        return bool(link(base.__name__)) if _is_ours(base) else base is not object

    bases = [base for base in thing.__bases__ if known(base)]
    return bases or [base for base in inspect.getmro(thing)[1:] if known(base)][:1]


def reference_to(base, link):
    """A base as reStructuredText: a link where it has a place, else its name."""
    if _is_ours(base):
        return f":py:obj:`~{link(base.__name__)}`"
    return f"``{base.__module__.split('.')[0]}.{base.__name__}``"


def _is_ours(thing):
    return thing.__module__.startswith("keras_wsseg")


def write_reference(folder):
    """Writes `index.rst` and the page of each room into a folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    link, by_room = Links(), {}
    for room, name in public_names():
        by_room.setdefault(room, []).append(name)
    for room, names in by_room.items():
        (folder / f"{room}.rst").write_text("\n".join(_page(room, names, link)), encoding="utf-8")
    (folder / "index.rst").write_text("\n".join(_index(by_room, link)), encoding="utf-8")


def _index(by_room, link):
    lines = [
        *_title("Reference"),
        "Every public name, from the docstrings. :doc:`What is listed here is the public interface "
        "</stability>`; modules inside the packages are not.",
        "",
        "``import keras_wsseg as wsseg`` gives every package as an attribute, loaded on first use, and "
        ":py:obj:`wsseg.WeaklySupervisedModel <keras_wsseg.models.WeaklySupervisedModel>`, which is the one "
        "in ``models``. The package ``imaging`` is imported as ``from keras_wsseg import imaging``.",
        "",
        ".. list-table::",
        "    :widths: 20 80",
        "    :class: rooms",
        "",
    ]
    for room, names in by_room.items():
        module = importlib.import_module(f"keras_wsseg.{room}")
        first = inspect.cleandoc(module.__doc__).split("\n\n")[0].replace("\n", " ")
        linked = ", ".join(f":py:obj:`{name} <keras_wsseg.{room}.{name}>`" for name in names)
        lines += [f"    * - :doc:`{room}`", f"      - {inline(first, link)}", "", f"        {linked}"]
    toctree = ["", ".. toctree::", "    :hidden:", "", *(f"    {room}" for room in by_room), ""]
    return lines + toctree


def _page(room, names, link):
    module = importlib.import_module(f"keras_wsseg.{room}")
    lines = [
        *_title(f"keras_wsseg.{room}"),
        *to_rst(inspect.cleandoc(module.__doc__).split("\n"), link=link),
        "",
        f".. py:currentmodule:: keras_wsseg.{room}",
        "",
        ".. list-table::",
        "    :widths: 30 70",
        "    :class: names",
        "",
    ]
    for name in names:
        first = _summary(getattr(module, name), module, name)
        lines += [f"    * - :py:obj:`{name} <keras_wsseg.{room}.{name}>`", f"      - {inline(first, link)}"]
    for name in names:
        thing = getattr(module, name)
        full = f"keras_wsseg.{room}.{name}"
        lines += ["", *_title(name, "-")]
        if link(name) != full and (inspect.isclass(thing) or inspect.isfunction(thing)):
            kind = "class" if inspect.isclass(thing) else "function"
            lines += [f".. py:{kind}:: {name}", "", f"    The same as :py:obj:`{link(name)}`."]
        elif inspect.isclass(thing):
            lines += [f".. autoclass:: {full}", "    :members:"]
            lines += ["    :show-inheritance:"] if shown_bases(thing, link) else []
        elif inspect.isfunction(thing):
            lines += [f".. autofunction:: {full}"]
        else:
            value = _shown(thing)
            lines += [f".. py:data:: {name}", *([f"    :value: {value}"] if value else []), ""]
            text = to_rst(_data_docstring(module, name).split("\n"), link=link)
            lines += [f"    {line}".rstrip() for line in text]
    return [*lines, ""]


def _title(text, line="="):
    return [text, line * len(text), ""]


def _shown(value):
    text = repr(value)
    return text if len(text) <= 120 and "object at" not in text else ""


def _summary(thing, module, name):
    if inspect.isclass(thing) or inspect.isfunction(thing):
        text = inspect.getdoc(thing) or ""
    else:
        text = _data_docstring(module, name)
    return text.split("\n\n")[0].replace("\n", " ")


def _data_docstring(module, name):
    """The text below an assignment, wherever in the library the name is assigned."""
    home = pathlib.Path(module.__file__)
    for source in (home, *_imported_from(home, name)):
        body = ast.parse(source.read_text(encoding="utf-8")).body
        for statement, after in itertools.pairwise(body):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    return inspect.cleandoc(after.value.value)
    return ""


def _imported_from(path, name):
    root = pathlib.Path(keras_wsseg.__file__).parent
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ImportFrom) and any(alias.name == name for alias in statement.names):
            yield root.joinpath(*statement.module.split(".")[1:]).with_suffix(".py")
