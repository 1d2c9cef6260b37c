"""From the docstrings of the library to reStructuredText.

They have the sections of Google's style, backticks around code as in Markdown, and formulas in plain text,
whose bars, stars and underscores mean nothing.
"""

import inspect
import re

_SECTION = re.compile(
    r"^(Args|Call arguments|Attributes|Returns|Yields|Raises|Examples?|Shapes|Source):(?: +(.*))?$"
)
_TITLES = {"Args": "Arguments", "Example": "Example", "Examples": "Example"}
_OF_ITEMS = ("Args", "Attributes", "Call arguments", "Raises")
_ITEM = re.compile(r"^ {4}(\*{0,2}[A-Za-z_][\w.*, ]*?): +(.*)$")
_SPAN = re.compile(r"`([^`]+)`")
_FORMULA = re.compile(r"^(?:`[^`]+`[,;.]?\s*)+$")


def to_rst(lines, defaults=None, link=None):
    """reStructuredText of a docstring.

    Args:
        lines: its lines, without common indentation.
        defaults: text of the default by name of argument; an argument that is not there needs a value.
        link: function from the text of a code span to the full name it stands for, or None.

    Returns:
        A list of lines.
    """
    link = link or (lambda text: None)
    out, index = [], 0
    while index < len(lines):
        found = _SECTION.match(lines[index])
        if not found:
            end = index + 1
            while end < len(lines) and not _SECTION.match(lines[end]):
                end += 1
            out += ["", *_text(lines[index:end], link)]
            index = end
            continue
        section, inline = found.groups()
        end = index + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
            end += 1
        body = lines[index + 1 : end]
        out += ["", f".. rubric:: {_TITLES.get(section, section)}", ""]
        if inline:
            # A paragraph that begins behind the colon goes on without indentation.
            while end < len(lines) and lines[end].strip() and not _SECTION.match(lines[end]):
                body.append(lines[end])
                end += 1
            out += _text([inline, *body], link)
        elif section in _OF_ITEMS:
            out += items(body, section, defaults or {}, link)
        else:
            out += _text(inspect.cleandoc("\n".join(["", *body])).split("\n"), link)
        index = end
    return [*out, ""]


def items(body, section, defaults, link):
    """A definition list of the lines of a section, each item `    name: text`."""
    out, index = [], 0
    while index < len(body):
        found = _ITEM.match(body[index])
        if not found:
            if body[index].strip():
                out += ["", *_text([body[index].strip()], link)]
            index += 1
            continue
        names, first = found.groups()
        end = index + 1
        while end < len(body) and (not body[end].strip() or body[end].startswith(" " * 8)):
            end += 1
        rest = inspect.cleandoc("\n".join(["", *body[index + 1 : end]])).split("\n")
        terms = [_term(name.strip(), section, defaults, link) for name in names.split(",")]
        out += ["", ", ".join(terms)]
        out += [f"    {line}".rstrip() for line in _text([first, *rest], link) or ["\\"]]
        index = end
    return out


def _term(name, section, defaults, link):
    if section == "Raises":
        return f"``{name}``"
    bare = name.lstrip("*")
    default = f" = ``{defaults[bare]}``" if bare in defaults else ""
    return f"**{escaped(name)}**{default}"


def _text(lines, link):
    """Paragraphs, lists, fenced blocks and examples."""
    out, index = [], 0
    while index < len(lines):
        line = lines[index]
        bare = line.strip()
        if bare.startswith("```"):
            end = index + 1
            while end < len(lines) and not lines[end].strip().startswith("```"):
                end += 1
            block = inspect.cleandoc("\n".join(["", *lines[index + 1 : end]])).split("\n")
            out += ["", ".. code-block:: text", "", *(f"    {code}".rstrip() for code in block), ""]
            index = end + 1
        elif bare.startswith(">>>"):
            end = index
            while end < len(lines) and lines[end].strip():
                end += 1
            block = inspect.cleandoc("\n".join(["", *lines[index:end]])).split("\n")
            out += ["", ".. code-block:: pycon", "", *(f"    {code}".rstrip() for code in block), ""]
            index = end
        elif not bare:
            out.append("")
            index += 1
        else:
            item = bare.startswith("- ")
            end = index + 1
            while end < len(lines) and (here := lines[end].strip()):
                if here.startswith(("- ", ">>>", "```")):
                    break
                end += 1
            text = " ".join(part.strip() for part in lines[index:end])
            if item:
                if not (out and out[-1].startswith("- ")):
                    out.append("")
                out.append(f"- {inline(text[2:], link)}")
            elif _FORMULA.match(text) and "=" in text and len(text) > 30:
                spans = [f"    {span}" for span in _SPAN.findall(text)]
                out += ["", ".. code-block:: none", "    :class: formula", "", *spans, ""]
            else:
                out.append(inline(text, link))
            index = end
    while out and not out[-1]:
        out.pop()
    return out


def inline(text, link=None):
    """A paragraph with its code spans as literals, those of known names as links, and all else as it is."""
    parts, end = [], 0
    for found in _SPAN.finditer(text):
        parts.append(_with_pages(escaped(text[end : found.start()])))
        span = " ".join(found.group(1).split())
        name = link(span) if link else None
        before = text[found.start() - 1 : found.start()]
        after = text[found.end() : found.end() + 1]
        shown = f":py:obj:`{span} <{name}>`" if name else f"``{span}``"
        glue = ("\\ " if before and not before.isspace() else "", "\\ " if after.isalnum() else "")
        parts.append(f"{glue[0]}{shown}{glue[1]}")
        end = found.end()
    return "".join([*parts, _with_pages(escaped(text[end:]))])


def _with_pages(text):
    """A page of the documentation that is named by its file becomes a link."""
    return re.sub(r"\bdocs/([\w-]+)\.md", r":doc:`/\1`", text)


def escaped(text):
    """Text in which nothing is markup but a word in single stars."""
    text = re.sub(r"([\\*|_`])", r"\\\1", text)
    return re.sub(r"(?<![\w*])\\\*([A-Za-z][A-Za-z ]*)\\\*(?![\w*])", r"*\1*", text)


def defaults_of(thing):
    """Text of the default of each argument that has one."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return {}
    found = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    return {name: shown_default(value) for name, value in found.items()}


def shown_default(value):
    """A default as one would write it: 15/255 has too many digits, and a function no readable form."""
    if isinstance(value, float):
        return f"{value:.4g}" if len(repr(value)) > 8 else repr(value)
    if callable(value):
        return getattr(value, "__name__", "…")
    return repr(value)
