"""Formulas as MathML, which browsers show by themselves: no script and no font has to be fetched."""

from html import escape

from latex2mathml.converter import convert


def _inline(self, node):
    from docutils.nodes import SkipNode

    self.body.append(convert(node.astext()))
    raise SkipNode


def _block(self, node):
    from docutils.nodes import SkipNode

    number = f'<span class="eqno">({escape(str(node["number"]))})</span>' if node.get("number") else ""
    # A target only where the formula has a label, by which text refers to it.
    place = f' id="equation-{escape(node["label"])}"' if node.get("label") else ""
    formula = convert(node.astext(), display="block")
    self.body.append(f'<div class="equation"{place}>{formula}{number}</div>\n')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
