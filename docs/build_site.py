"""Builds the site of the documentation, without a network; any warning is an error.

    python docs/build_site.py build/docs        # then open build/docs/html/index.html

What is generated, the reference, the page of the command line, the pages and notebooks of the guides, is
written into a copy of this folder, OUT/source.
"""

import argparse
import os
import pathlib
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
DOCS = pathlib.Path(__file__).resolve().parent
ROOT = DOCS.parent
# Texts that also stand beside the code, where people look for them.
SHARED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}


def build_site(out):
    """Builds the site.

    Args:
        out: folder for it; what an earlier build left there is replaced.

    Returns:
        Status of Sphinx, 0 where all went well.
    """
    from site_tools.command_line import write_command_line
    from site_tools.guides import write_guides
    from site_tools.reference import write_reference
    from sphinx.cmd.build import main as sphinx

    out = pathlib.Path(out)
    source, html = out / "source", out / "html"
    for folder in (source, html):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("__pycache__", "site_tools", "build_site.py"))
    for name, page in SHARED.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        (source / page).write_text(text, encoding="utf-8")
    write_guides(source / "guides")
    write_reference(source / "reference")
    write_command_line(source / "command-line.md")
    options = ("--fail-on-warning", "--keep-going", "--quiet", "--fresh-env", "--nitpicky")
    return sphinx(["-b", "html", *options, "-d", str(out / "doctrees"), str(source), str(html)])


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", help="folder for the site")
    status = build_site(parser.parse_args(argv).out)
    if status == 0:
        print(f"The site is in {pathlib.Path(parser.parse_args(argv).out, 'html', 'index.html')}")
    return status


if __name__ == "__main__":
    sys.exit(main())
