"""What users install: the wheel, the sdist and the editable install, and the wheel where nothing else is."""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import keras
import pytest

from keras_wsseg.export import to_onnx

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECIPES = ROOT / "keras_wsseg" / "training" / "recipe_files"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "absent from the `packages` configuration" not in done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the sources, since building leaves folders behind."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("keras_wsseg", "export"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """The sdist, and the wheel made from the sdist, as an index would serve them."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def files_to_ship():
    """Every source file by the name under which it is imported."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_wsseg").rglob("*.py")}
    files |= {f"keras_wsseg/export/{path.name}" for path in (ROOT / "export").glob("*.py")}
    return files


def assets_to_ship():
    """What the page in a browser is made of, and the recipes, by their places beside the modules."""
    files = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "export" / "web").rglob("*") if path.is_file()
    }
    assert {"export/web/index.html", "export/web/onnxruntime/LICENSE"} <= files
    recipes = {f"training/recipe_files/{path.name}" for path in RECIPES.iterdir()}
    assert "training/recipe_files/scribbles.toml" in recipes
    return {f"keras_wsseg/{name}" for name in files | recipes}


def test_wheel_holds_every_module_and_nothing_else(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    assert {name for name in names if name.endswith(".py")} == files_to_ship()
    others = {name for name in names if name.startswith("keras_wsseg/") and not name.endswith(".py")}
    assert others == assets_to_ship()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"keras_wsseg"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "keras-wsseg = keras_wsseg.cli.main:main" in zipfile.ZipFile(built[1]).read(entry_points).decode()


def test_sdist_holds_all_that_a_build_needs(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    shipped = {name.replace("keras_wsseg/export/", "export/") for name in files_to_ship() | assets_to_ship()}
    assert shipped | {"pyproject.toml", "setup.cfg", "README.md", "LICENSE"} <= names


ONE_NAME = """
import importlib.util, site, sys
site.addsitedir(sys.argv[1])
import keras_wsseg.export
assert "to_onnx" in dir(keras_wsseg.export)
assert keras_wsseg.export.__file__.startswith(sys.argv[2]), keras_wsseg.export.__file__
assert importlib.util.find_spec("export") is None
"""


def check_install(target, home):
    """Imports with `-I -S`, so that neither this environment nor the folder of the sources counts."""
    run(sys.executable, "-I", "-S", "-c", ONE_NAME, target, home)


def pip_install(*arguments):
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", *arguments)


def test_wheel_gives_export_one_name(built, tmp_path):
    pip_install("--target", tmp_path / "site", built[1])
    check_install(tmp_path / "site", tmp_path / "site")


def test_plain_install_gives_export_one_name(source, tmp_path):
    pip_install("--no-build-isolation", "--target", tmp_path / "site", source)
    check_install(tmp_path / "site", tmp_path / "site")


def test_editable_install_gives_export_one_name(source, tmp_path):
    pip_install("--no-build-isolation", "--target", tmp_path / "site", "--editable", source)
    check_install(tmp_path / "site", source / "export")


@pytest.fixture(scope="module")
def bare_python(built, tmp_path_factory):
    """An environment with the wheel, numpy and onnxruntime in it, taken from this one without an index."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in ("numpy", "onnxruntime"):
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}
        for top in tops:
            (packages / top).symlink_to(distribution.locate_file(top))
    zipfile.ZipFile(built[1]).extractall(packages)
    return folder / "bin" / "python"


def test_bare_environment_runs_a_segmenter(bare_python, tmp_path):
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    segmenter = keras.Model(image, keras.layers.Conv2D(3, 3, strides=4, padding="same")(scaled))
    to_onnx(segmenter, tmp_path / "segmenter.onnx")
    code = """
import importlib.util, sys
for name in ("keras", "tensorflow", "PIL", "scipy", "onnx", "export"):
    assert importlib.util.find_spec(name) is None, name
import numpy as np
from keras_wsseg.export import OnnxSegmenter
segmenter = OnnxSegmenter(sys.argv[1])
image = np.arange(13 * 22 * 3).reshape(13, 22, 3) % 256
print(segmenter(image).shape, segmenter.probabilities(image).shape, segmenter.overlay(image).shape)
"""
    said = run(bare_python, "-I", "-c", code, tmp_path / "segmenter.onnx")
    assert said.strip() == "(13, 22) (13, 22, 3) (13, 22, 3)"
