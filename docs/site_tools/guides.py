"""From the guides, Python files with text between the code, to pages of the site and notebooks.

A guide begins with a docstring: the title, an empty line, and what the guide is about. Each string that
stands by itself at the top level is Markdown; what lies between them is code.
"""

import ast
import json
import pathlib
import re


def read_guide(path):
    """The parts of a guide.

    Args:
        path: the Python file.

    Returns:
        `(title, parts)`: parts are pairs of `"markdown"` or `"code"` and a text, in order.

    Raises:
        ValueError: if it does not begin with a docstring that holds a title and a text.
    """
    source = pathlib.Path(path).read_text(encoding="utf-8")
    lines = source.split("\n")
    body = ast.parse(source).body
    texts = [node for node in body if isinstance(node, ast.Expr) and _is_text(node.value)]
    if not texts or texts[0] is not body[0]:
        raise ValueError(f"A guide must begin with a docstring. Received: {str(path)!r}")
    title, _, intro = texts[0].value.value.strip().partition("\n\n")
    if "\n" in title or not intro:
        raise ValueError(
            f"The docstring of a guide must hold a title and, below, a text. Received: {str(path)!r}"
        )
    parts, last = [("markdown", intro.strip())], texts[0].end_lineno
    for node in texts[1:]:
        parts.append(("code", "\n".join(lines[last : node.lineno - 1]).strip("\n")))
        parts.append(("markdown", node.value.value.strip()))
        last = node.end_lineno
    parts.append(("code", "\n".join(lines[last:]).strip("\n")))
    return title, [(kind, text) for kind, text in parts if text.strip()]


def to_page(path):
    """Markdown of a guide, with links to its notebook and its source."""
    path = pathlib.Path(path)
    title, parts = read_guide(path)
    links = f"[Notebook]({path.stem}.ipynb) · [Python file]({path.name})"
    blocks = [f"# {title}", f"<!-- made of {path.name} -->", f"{{.downloads}}\n{links}"]
    blocks += [f"```python\n{text}\n```" if kind == "code" else text for kind, text in parts]
    return "\n\n".join(blocks) + "\n"


def to_notebook(path):
    """The guide as a notebook, a dict to be written as JSON. Links into the site become plain text there."""
    title, parts = read_guide(path)
    cells = [_cell(0, "markdown", f"# {title}")]
    for kind, text in parts:
        if kind == "markdown":
            text = re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]+\)", r"\1", text)
        cells.append(_cell(len(cells), kind, text))
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_guides(folder):
    """Writes the page and the notebook of every guide beside it.

    Returns:
        Paths of the guides.
    """
    guides = sorted(pathlib.Path(folder).glob("*.py"))
    for path in guides:
        path.with_suffix(".md").write_text(to_page(path), encoding="utf-8")
        notebook = json.dumps(to_notebook(path), ensure_ascii=False, indent=1) + "\n"
        path.with_suffix(".ipynb").write_text(notebook, encoding="utf-8")
    return guides


def _is_text(value):
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _cell(number, kind, text):
    cell = {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
