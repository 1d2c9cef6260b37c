"""The site builds without a warning, holds every public name, and no link of it or of README is broken."""

import html.parser
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads by itself, and the places in it."""

    def __init__(self, path):
        super().__init__()
        self.path, self.links, self.loaded, self.places, self.text = path, [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.places.add(attributes["id"])
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag in ("script", "img", "iframe", "source") and attributes.get("src"):
            self.loaded.append(attributes["src"])
        if tag == "link" and attributes.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(attributes["href"])

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def public(site):
    """`(room, name)` of all that is public, asked of the library by itself."""
    code = """
import importlib, json, keras_wsseg
found = []
for room in (*keras_wsseg._ROOMS, "imaging"):
    module = importlib.import_module(f"keras_wsseg.{room}")
    names = getattr(module, "__all__", None)
    if names is None:
        names = [n for n, t in vars(module).items()
                 if callable(t) and getattr(t, "__module__", "") == module.__name__ and n[0] != "_"]
    found += [(room, name) for name in names]
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_every_public_name_has_its_place_in_the_reference(pages, site, public):
    assert len(public) > 100
    missing = [
        f"{room}.{name}"
        for room, name in public
        if f"keras_wsseg.{room}.{name}" not in pages[site / "reference" / f"{room}.html"].places
    ]
    assert missing == []


def test_signatures_say_what_is_taken(pages, site):
    """Layers of Keras hide it behind what makes them."""
    for path in (site / "reference").glob("*.html"):
        assert "(*args, **kwargs)" not in "".join(pages[path].text)
    text = " ".join("".join(pages[site / "reference" / "layers.html"].text).split())
    assert re.search(r"class MeanFieldCRF\( ?radius=None", text)


def test_no_link_is_broken(pages):
    broken = []
    for page in pages.values():
        for link in page.links:
            address = urllib.parse.urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (
                (page.path.parent / urllib.parse.unquote(address.path)).resolve()
                if address.path
                else page.path
            )
            there = target.is_file()
            if there and address.fragment and target in pages:
                there = urllib.parse.unquote(address.fragment) in pages[target].places
            if not there:
                broken.append(f"{page.path.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(pages, site):
    """No font, script, style or image: the site is read where there is no network."""
    outside = [
        f"{page.path.name}: {source}"
        for page in pages.values()
        for source in page.loaded
        if re.match(r"(https?:)?//", source)
    ]
    assert outside == []
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?https?:", style.read_text(encoding="utf-8")), style


def test_every_guide_has_a_page_and_its_downloads(pages, site):
    guides = sorted((ROOT / "docs" / "guides").glob("*.py"))
    for guide in guides:
        links = [
            pathlib.PurePosixPath(link).name for link in pages[site / "guides" / f"{guide.stem}.html"].links
        ]
        assert {f"{guide.stem}.ipynb", guide.name} <= set(links)


def test_the_command_line_is_documented(pages, site):
    text = "".join(pages[site / "command-line.html"].text)
    for command in ("train", "evaluate", "predict", "export", "serve", "sweep", "demo"):
        assert f"usage: keras-wsseg {command}" in text


def test_formulas_are_formulas(site):
    text = (site / "method" / "gated-crf.html").read_text(encoding="utf-8")
    assert text.count("<math") > 5
    assert "$$" not in text and "\\sum" not in text


def relative_links(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)#\s]+)", text) if not link.startswith("http")]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_the_files_beside_the_code(name):
    assert [link for link in relative_links(ROOT / name) if not (ROOT / link).exists()] == []


def test_the_readme_is_an_overview():
    readme = (ROOT / "README.md").read_bytes()
    assert len(readme) <= 8192
    first = re.search(r"```\n(.*?)```", readme.decode(), re.DOTALL).group(1)
    assert [line.split("#")[0].strip() for line in first.strip().splitlines()] == ["make demo", "make test"]


def test_the_changelog_has_the_tables_of_names():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "### Renamed\n\n| old | new |\n|---|---|\n" in text


def test_the_citation_names_the_version_and_the_papers():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert f"\nversion: {version}\n" in text
    for paper in ("1906.04651", "1803.09569", "1705.01262", "1911.08039", "10.1007/978-3-030-58526-6_21"):
        assert paper in text
