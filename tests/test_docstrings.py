"""Every example in a docstring runs, and every public name has a docstring.

That each has a place in the reference is held by `tests/docs/test_site.py`, on the site as it is built.
"""

import doctest
import importlib
import inspect
import pkgutil
import re

import keras
import numpy as np
import pytest

import keras_wsseg

# An editable install maps keras_wsseg.export from another folder, where walking the package does not look.
MODULES = sorted(
    {
        module.name
        for package in (keras_wsseg, keras_wsseg.export)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.startswith("keras_wsseg.cli")
    }
    | {"keras_wsseg.export"}
)
ROOMS = [name for name in MODULES if hasattr(importlib.import_module(name), "__all__")]
PUBLIC = [(room, name) for room in ROOMS for name in importlib.import_module(room).__all__]


# The example of OnnxSegmenter needs a file; tests/export/test_onnx_segmenter.py runs it with one.
@pytest.mark.parametrize("name", [name for name in MODULES if name != "keras_wsseg.export.onnx_segmenter"])
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    names = {**vars(module), "np": np, "keras": keras, "ops": keras.ops}
    result = doctest.testmod(module, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_no_last_digits(name):
    """These are another processor's own: what is computed is rounded before it is printed."""
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        for example in test.examples:
            assert not re.search(r"\.\d{5}", example.want), example.want
            bare = re.search(r"(?<!round\()\bfloat\(", example.source)
            assert not (bare and re.search(r"\d\.\d", example.want)), example.source


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_public_names_are_documented(room, name):
    thing = getattr(importlib.import_module(room), name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing), f"{room}.{name} has no docstring"
