"""Sphinx's settings. Everything that a page shows lies in the site itself: no font, script or style from
elsewhere."""

import dataclasses
import inspect
import re

from docutils import nodes
from site_tools.docstrings import defaults_of, items, to_rst
from site_tools.reference import Links, reference_to, shown_bases
from sphinx.util.inspect import stringify_signature

import keras_wsseg

project = "keras_wsseg"
author = "The authors of keras_wsseg"
release = version = keras_wsseg.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "site_tools.mathml"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"
highlight_language = "none"

autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
toc_object_entries = False
python_maximum_signature_line_length = 60
python_trailing_comma_in_multi_line_signatures = False
# Names of Python, Keras and NumPy, whose documentation is not at hand when the site is built.
nitpick_ignore_regex = [("py:.*", r"(?!keras_wsseg\.(?:[a-z]+)\.[A-Za-z]).*")]

html_theme = "pydata_sphinx_theme"
html_title = "keras_wsseg"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": "keras_wsseg"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"index": [], "guides/get_started": [], "command-line": []}
copyright = "the authors of keras_wsseg; Apache-2.0"

_link = Links()


def _docstring(app, what, name, thing, options, lines):
    defaults = defaults_of(thing)
    lines[:] = to_rst(list(lines), defaults, _link)
    if settings := _settings(thing):
        lines += ["", ".. rubric:: Settings", "", *items([*settings.values()], "Args", defaults, _link), ""]


def _signature(app, what, name, thing, options, signature, returns):
    """Numbers such as 15 / 255 have too many digits to be read, and a class of settings too many of these."""
    if settings := _settings(thing):
        parts = [one for one in inspect.signature(thing).parameters.values() if one.name not in settings]
        shown = [one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in parts]
        return f"({', '.join(shown)}, **settings)", returns
    if signature == "(*args, **kwargs)":
        # Layers of Keras say so of their making, whatever they take.
        signature = stringify_signature(inspect.signature(thing)).replace("(*args, ", "(")
    short = re.sub(r"\d+\.\d{6,}", lambda found: f"{float(found.group()):.4g}", signature or "")
    return short or signature, returns


def _settings(thing):
    """The fields of a class that say themselves what they are for, as the lines of arguments, by name."""
    found = {}
    for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
        if "help" in field.metadata:
            choices = ", ".join(f"`{choice!r}`" for choice in field.metadata["choices"] or ())
            text = field.metadata["help"] + (f". One of {choices}." if choices else "")
            found[field.name] = f"    {field.name}: {text}"
    return found


def _bases(app, name, thing, options, bases):
    bases[:] = [reference_to(base, _link) for base in shown_bases(thing, _link)]


def _mark_figures(app, doctree, docname):
    """Tables of short cells, mostly numbers, are not to break within a cell."""
    for table in doctree.findall(nodes.table):
        cells = [entry.astext() for entry in table.findall(nodes.entry)]
        if sum(map(len, cells)) < 11 * len(cells):
            table["classes"].append("figures")


def setup(app):
    app.connect("doctree-resolved", _mark_figures)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-bases", _bases)
