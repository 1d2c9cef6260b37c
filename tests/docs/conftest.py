"""The site, built once for all of its tests."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the pages, as `make docs` builds them; what Sphinx said is what a failure shows."""
    for package in ("sphinx", "myst_parser", "pydata_sphinx_theme", "latex2mathml", "onnx", "starlette"):
        pytest.importorskip(package)
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    said = out / "said.txt"
    try:
        out.mkdir()
    except FileExistsError:
        # Another worker is at it, and says so by this file when it is done.
        for _ in range(600):
            if said.is_file():
                break
            time.sleep(1)
    else:
        status, text = build(out)
        draft = said.with_suffix(".draft")
        draft.write_text(f"{status}\n{text}", encoding="utf-8")
        draft.rename(said)
    status, _, text = said.read_text(encoding="utf-8").partition("\n")
    assert status == "0", text
    return out / "html"


def build(out):
    """Status of the build and what it said. A site needs no network: whoever asks for one gets an error."""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "build_site.py", out],
        capture_output=True,
        text=True,
        env={**os.environ, **nowhere},
    )
    return done.returncode, done.stdout + done.stderr
