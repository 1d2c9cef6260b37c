"""Docstrings on their way to the reference: what a formula or a name becomes, and what must not be markup."""

import pathlib
import sys

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def docstrings():
    sys.path.insert(0, str(DOCS))
    from site_tools import docstrings

    yield docstrings
    sys.path.remove(str(DOCS))


def test_formulas_are_no_markup(docstrings):
    assert docstrings.inline("|x_p - x_q| * y_ is 2 * 3") == r"\|x\_p - x\_q\| \* y\_ is 2 \* 3"
    assert docstrings.inline("the *global* batch") == "the *global* batch"


def test_code_spans(docstrings):
    known = {"GatedCRFLoss": "keras_wsseg.losses.GatedCRFLoss"}.get
    assert docstrings.inline("see `GatedCRFLoss` (`a_b`s)", known) == (
        r"see :py:obj:`GatedCRFLoss <keras_wsseg.losses.GatedCRFLoss>` (\ ``a_b``\ s)"
    )
    assert docstrings.inline("see docs/defaults.md.") == "see :doc:`/defaults`."


def test_arguments_show_their_defaults(docstrings):
    def function(first, sigma=15 / 255, *, names=()):
        pass

    defaults = docstrings.defaults_of(function)
    assert defaults == {"sigma": "0.05882", "names": "()"}
    lines = [
        "Does it.",
        "",
        "Args:",
        "    first, sigma: numbers: any",
        "        of them.",
        "    names: texts.",
    ]
    text = "\n".join(docstrings.to_rst([*lines, "", "Raises:", "    ValueError: if not."], defaults))
    assert "**first**, **sigma** = ``0.05882``\n    numbers: any of them.\n" in text
    assert "**names** = ``()``\n    texts.\n" in text
    assert ".. rubric:: Raises\n\n\n``ValueError``\n    if not.\n" in text


def test_a_formula_by_itself_is_a_block(docstrings):
    formula = "`R = sum_k S_k^T W (1 - S_k)`, `W_pp = 1`"
    text = "\n".join(docstrings.to_rst(["It is", "", formula, "", "over all pixels, `W_pp = 1` included."]))
    assert "    R = sum_k S_k^T W (1 - S_k)\n    W_pp = 1\n" in text
    assert "over all pixels, ``W_pp = 1`` included." in text


def test_examples_and_fenced_blocks_keep_their_lines(docstrings):
    lines = ["Example:", "    >>> f(1)", "    2", "", "Then", "", "```", "root/", "    images/", "```"]
    text = "\n".join(docstrings.to_rst(lines))
    assert ".. code-block:: pycon\n\n    >>> f(1)\n    2\n" in text
    assert ".. code-block:: text\n\n    root/\n        images/\n" in text


def test_a_source_goes_on_without_indentation(docstrings):
    text = "\n".join(docstrings.to_rst(["Source: Tang et al.,", "equation 4.", "", "Afterwards."]))
    assert ".. rubric:: Source\n\nTang et al., equation 4.\n" in text
    assert text.rstrip().endswith("Afterwards.")
