"""The page of the command line, made of what the commands say about themselves."""

import contextlib
import io
import os
import pathlib
import re
from unittest import mock

from keras_wsseg.cli.main import main

WIDTH = "92"

_HEAD = """\
# Command line

`pip install` brings one program, `keras-wsseg`, with a command for each step; after `make install` it lies in
`.venv/bin`, and `source .venv/bin/activate` puts it on the path. What follows is what `--help` prints. What a
training is made of, and how options change it, is in [Recipes and configuration](guides/recipes.md).

"""

_ALL = """\
`keras-wsseg train --help all` prints those of the recipe `scribbles`; with `--recipe NAME`, `--loss CLASS`
or `--segmenter CLASS` typed before it, those of that recipe and class.
"""


def commands():
    """Names of the commands, in the order in which the program lists them."""
    listed = _help().partition("\ncommands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^ {4}([a-z][\w-]*)", listed, re.MULTILINE)


def write_command_line(path):
    """Writes the page."""
    parts = [_HEAD, _block(_help())]
    for command in commands():
        parts.append(f"\n(command-{command})=\n\n## {command}\n\n{_block(_help(command))}")
    parts.append(f"\n## Every option of train\n\n{_ALL}\n{_block(_help('train', '--help', 'all'))}")
    pathlib.Path(path).write_text("".join(parts), encoding="utf-8")


def _help(*words):
    said = io.StringIO()
    words = words if "--help" in words else (*words, "--help")
    with mock.patch.dict(os.environ, COLUMNS=WIDTH), contextlib.redirect_stdout(said):
        with contextlib.suppress(SystemExit):
            main(words)
    return said.getvalue()


def _block(text):
    return f"````text\n{text.rstrip()}\n````\n"
