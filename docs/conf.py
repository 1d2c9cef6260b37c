"""Sphinx's settings. Everything that a page shows lies in the site itself: no font, script or style from
elsewhere."""

import dataclasses
import inspect

from site_tools.docstrings import defaults_of, to_rst
from site_tools.reference import Links

import keras_wsseg

project = "keras_wsseg"
author = "The authors of keras_wsseg"
release = version = keras_wsseg.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "site_tools.mathml"]
exclude_patterns = ["README.md"]
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
math_numfig = False
html_math_renderer = "mathml"

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
html_sidebars = {"index": [], "get-started": [], "install": [], "command-line": []}
copyright = "the authors of keras_wsseg; Apache-2.0"

_link = Links()


def _docstring(app, what, name, thing, options, lines):
    lines[:] = to_rst([*lines, *_settings(thing)], defaults_of(thing), _link)


def _settings(thing):
    """Sections of arguments for a class whose fields say themselves what they are for."""
    groups = {}
    for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
        if "help" in field.metadata:
            choices = ", ".join(f"`{choice!r}`" for choice in field.metadata["choices"] or ())
            text = field.metadata["help"] + (f". One of {choices}." if choices else "")
            groups.setdefault(field.metadata["group"], []).append(f"    {field.name}: {text}")
    return [line for group, fields in groups.items() for line in ("", f"**{group}**", "Args:", *fields)]


def _bases(app, name, thing, options, bases):
    """A base inside a room has no page; that of Keras is what users know."""
    public = [base for base in bases if _link(getattr(base, "__name__", "")) or not _is_ours(base)]
    if not public:
        public = [base for base in inspect.getmro(thing)[1:] if _link(base.__name__) or not _is_ours(base)][:1]
    bases[:] = [_shown(base) for base in public if base is not object and base.__name__ != "Annealable"]


def _shown(base):
    full = _link(base.__name__) if _is_ours(base) else None
    return f":py:obj:`~{full}`" if full else f"``{base.__module__.split('.')[0]}.{base.__name__}``"


def _is_ours(base):
    return base.__module__.startswith("keras_wsseg")


def setup(app):
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-bases", _bases)
