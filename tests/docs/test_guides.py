"""Every guide runs as a newcomer would run it, and becomes a page and a notebook that say the same."""

import ast
import json
import pathlib
import runpy
import sys

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
GUIDES = sorted((DOCS / "guides").glob("*.py"))
# Their losses search and mine in loops, which take longer by themselves than compiled.
COMPILED = ("image_tags", "one_class_without_labels")


@pytest.fixture(scope="module")
def guides():
    sys.path.insert(0, str(DOCS))
    from site_tools import guides

    yield guides
    sys.path.remove(str(DOCS))


@pytest.fixture
def mode(request):
    """The others train for few steps, which take longer to compile than to run."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(request.node.callspec.params["path"].stem not in COMPILED)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_guide_runs(path, mode, tmp_path, monkeypatch):
    for package in ("onnx", "starlette") if path.stem == "deploying" else ():
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))


def test_there_are_guides():
    assert len(GUIDES) >= 11


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(
        '"""\nA title\n\nWhat it is about, see [there](../there.md) and [far](https://example.org).\n"""\n'
        '\nimport math\n\n"""\n## A part\n"""\n\n\ndef f():\n    """Not a text of the page."""\n'
        '    return "%s" % math.pi\n\n\nx = """a value"""\n"""\nThe end.\n"""\n',
        encoding="utf-8",
    )
    return path


def test_parts_of_a_guide(guides, small):
    title, parts = guides.read_guide(small)
    assert title == "A title"
    assert [kind for kind, _ in parts] == ["markdown", "code", "markdown", "code", "markdown"]
    assert parts[1][1] == "import math"
    assert parts[3][1].startswith("def f():") and parts[3][1].endswith('x = """a value"""')
    assert parts[4][1] == "The end."


def test_page_links_notebook_and_source(guides, small):
    page = guides.to_page(small)
    assert page.startswith("# A title\n")
    assert "[Notebook](small.ipynb)" in page and "[Python file](small.py)" in page
    assert page.count("```python\n") == 2


def test_notebook_is_one(guides, small):
    notebook = json.loads(json.dumps(guides.to_notebook(small)))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    kinds = " ".join(cell["cell_type"] for cell in cells)
    assert kinds == "markdown markdown code markdown code markdown"
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert all(("outputs" in cell) == (cell["cell_type"] == "code") for cell in cells)
    # A notebook lies outside the site, where only links to the web lead anywhere.
    assert "".join(cells[1]["source"]) == "What it is about, see there and [far](https://example.org)."


@pytest.mark.parametrize(
    "text", ["x = 1\n", '"""A title alone"""\n', '"""\nTwo lines\nof title\n\nText\n"""\n']
)
def test_what_is_no_guide(guides, tmp_path, text):
    path = tmp_path / "wrong.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="guide"):
        guides.read_guide(path)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_nothing_of_a_guide_is_lost(guides, path):
    """The code of a page is the code of the file, text aside."""
    _, parts = guides.read_guide(path)
    code = "\n".join(text for kind, text in parts if kind == "code")
    whole = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert [ast.dump(node) for node in ast.parse(code).body] == [ast.dump(node) for node in whole]
