"""Models as people bring them, on the whole road; docs/brought-models.md holds the table."""

import importlib.util
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "brought-models.md"
# Of what TensorFlow or its converters once failed on, the smallest; and what is no segmenter.
RISKY = {
    "Normalization in front": ("trains", "loss", "loaded", "ONNX"),
    "ConvNeXt blocks": ("trains", "ONNX"),
    "ResNeXt blocks with squeeze and excitation": ("trains", "ONNX"),
    "Pixel shuffle in a Lambda": ("trains", "ONNX"),
    "channels_first": ("trains",),
    "Logits as (pixels, classes)": ("trains",),
    "A prediction for each level": ("trains",),
}


@pytest.fixture(scope="module")
def benchmark():
    path = ROOT / "benchmarks" / "brought_models.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_brought_models", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def documented():
    """The cells of the table by the name of the row, reasons in the place of their numbers."""
    text = DOCUMENT.read_text(encoding="utf-8")
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
    found = {}
    for line in re.findall(r"^\| (.*) \|$", text, re.MULTILINE):
        name, *cells = (cell.strip() for cell in line.split("|"))
        found[name] = [reasons[cell[1:-1]] if cell.startswith("[") else cell for cell in cells]
    return found


def without_numbers(cell):
    """What holds on every processor."""
    return re.sub(r"[\d.e-]*\d", "N", cell or "")


def check(benchmark, name, columns):
    found = benchmark.Trial(benchmark.ROWS[name]).cells(columns)
    table = documented()
    for column, cell in zip(table["model"], table[name], strict=True):
        if column in columns:
            assert without_numbers(found[column]) == without_numbers(cell), (name, column, found[column])


def test_every_row_is_documented(benchmark):
    assert list(documented()) == ["model", *benchmark.ROWS]
    assert documented()["model"] == list(benchmark.Trial.COLUMNS)


@pytest.mark.parametrize("name", RISKY)
def test_risky_models(benchmark, name):
    check(benchmark, name, RISKY[name])


@pytest.mark.slow
def test_every_model(benchmark):
    for name in benchmark.ROWS:
        check(benchmark, name, benchmark.Trial.COLUMNS)
