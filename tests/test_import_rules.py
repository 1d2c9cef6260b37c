"""Who may import whom: read from the sources, so that a rule broken in a rare branch is found too."""

import ast
import configparser
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Each room and the rooms of ours that it may import besides itself; a room that is not here fails a test.
MAY_IMPORT = {
    "arguments": set(),
    "imaging": set(),
    "ops": set(),
    "targets": set(),
    "predictions": {"ops"},
    "annotations": set(),
    "kernels": {"ops"},
    "losses": {"kernels", "ops", "predictions", "targets"},
    "layers": {"kernels", "ops"},
    "optimizers": set(),
    "metrics": {"ops", "predictions", "targets"},
    "models": {"layers", "losses", "ops", "predictions", "targets"},
    "visualization": {"losses", "ops", "targets"},
    "callbacks": {"kernels", "losses", "models", "ops", "targets", "visualization"},
    "data": {"annotations"},
    "export": {"layers", "models", "ops"},
    "serving": {"export"},
}
# The checks of arguments and the one road for images lie under every other room.
for allowed in MAY_IMPORT.values():
    allowed |= {"arguments", "imaging"}
MAY_IMPORT["arguments"] = set()
MAY_IMPORT["training"] = {*MAY_IMPORT} - {"serving"}
MAY_IMPORT["cli"] = {*MAY_IMPORT}

FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
ANY_BACKEND = {"kernels", "ops", "optimizers", "losses", "layers", "models", "metrics"}
KNOWS_BACKENDS = "keras_wsseg.ops.backend"

RUN_TIME = {
    "keras_wsseg.arguments",
    "keras_wsseg.export",
    "keras_wsseg.export.metadata",
    "keras_wsseg.export.onnx_segmenter",
    "keras_wsseg.export.input_images",
    "keras_wsseg.export.prediction",
    "keras_wsseg.export.providers",
    "keras_wsseg.export.session",
    "keras_wsseg.export.windows",
}
RUN_TIME_NEEDS = {"numpy", "onnxruntime"}
NEEDED_LATE = {"PIL", "imagecodecs"}


def modules():
    """Every module of the library by name, with its file."""
    found = {}
    for top, folder in (("keras_wsseg", ROOT / "keras_wsseg"), ("keras_wsseg.export", ROOT / "export")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((top, *(part for part in parts if part != "__init__")))] = path
    return found


def imports(source, module, is_package=False):
    """Full names of all that a source imports, with the depth of functions around: 0 is at import time."""
    found = []

    def visit(node, depth):
        if isinstance(node, ast.Import):
            found.extend((alias.name, depth) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: None if is_package else -1]
            base = base[: len(base) - node.level + 1] if node.level else []
            home = ".".join((*base, *([node.module] if node.module else [])))
            found.extend((f"{home}.{alias.name}", depth) for alias in node.names)
        deeper = depth + isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, deeper)

    visit(ast.parse(source), 0)
    return found


def room(name):
    """The room of a module of ours: None for the root of the package and for what is not ours."""
    parts = name.split(".")
    return parts[1] if parts[0] == "keras_wsseg" and len(parts) > 1 else None


def all_imports():
    for module, path in modules().items():
        for name, depth in imports(path.read_text(), module, path.name == "__init__.py"):
            yield module, name, depth


def forbidden(module, name):
    """Whether the table keeps `module` from importing `name`."""
    home, other = room(module), room(name)
    if home is None or other in (None, home, "__version__"):
        return False
    return home not in MAY_IMPORT or other not in MAY_IMPORT[home]


def test_reader_sees_every_form_of_import():
    source = """
import keras_wsseg.losses
from keras_wsseg import cli as c, data
from .sibling import x
from ..models import y
def f():
    from keras_wsseg.training.run import z
    import tensorflow.image as ti
"""
    assert imports(source, "keras_wsseg.ops.here") == [
        ("keras_wsseg.losses", 0),
        ("keras_wsseg.cli", 0),
        ("keras_wsseg.data", 0),
        ("keras_wsseg.ops.sibling.x", 0),
        ("keras_wsseg.models.y", 0),
        ("keras_wsseg.training.run.z", 1),
        ("tensorflow.image", 1),
    ]
    assert imports("from . import x", "keras_wsseg.ops", is_package=True) == [("keras_wsseg.ops.x", 0)]


def test_table_is_applied():
    assert forbidden("keras_wsseg.ops.resize", "keras_wsseg.losses")
    assert forbidden("keras_wsseg.data", "keras_wsseg.export.to_onnx")
    assert forbidden("keras_wsseg.training.run", "keras_wsseg.cli.main")
    assert forbidden("keras_wsseg.losses.x", "keras_wsseg.new_room")
    assert not forbidden("keras_wsseg.losses.x", "keras_wsseg.ops.resize")
    assert not forbidden("keras_wsseg.losses.x", "keras_wsseg.losses.y")
    assert not forbidden("keras_wsseg.losses.x", "numpy")


def test_rooms_import_only_what_the_table_allows():
    broken = [f"{module} imports {name}" for module, name, _ in all_imports() if forbidden(module, name)]
    assert broken == []


def test_every_room_is_in_the_table():
    rooms = {room(module) for module in modules()} - {None}
    assert rooms == set(MAY_IMPORT)


def test_no_relative_imports():
    broken = [
        f"{path}:{node.lineno}"
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert broken == []


@pytest.mark.parametrize("home", ["annotations", "imaging", "serving"])
def test_rooms_that_need_no_framework(home):
    broken = [
        f"{module} imports {name}"
        for module, name, _ in all_imports()
        if room(module) == home and name.split(".")[0] in FRAMEWORKS
    ]
    assert broken == []


def test_one_file_knows_the_backends():
    broken = [
        f"{module} imports {name}"
        for module, name, _ in all_imports()
        if room(module) in ANY_BACKEND
        and module != KNOWS_BACKENDS
        and name.split(".")[0] in FRAMEWORKS - {"keras"}
    ]
    assert broken == []
    assert KNOWS_BACKENDS in modules()


def test_keras_is_used_by_its_public_names():
    broken = [f"{module} imports {name}" for module, name, _ in all_imports() if name.startswith("keras.src")]
    assert broken == []


def test_run_time_half_of_export_needs_numpy_and_onnxruntime_alone():
    assert RUN_TIME <= set(modules())
    run_time = RUN_TIME | {module for module in modules() if room(module) == "imaging"}
    for module, name, depth in all_imports():
        if module not in run_time:
            continue
        top = name.split(".")[0]
        ours = name == "keras_wsseg" or any(name.startswith(f"{other}.") for other in run_time)
        standard = top in sys.stdlib_module_names
        late = top in NEEDED_LATE and depth > 0
        assert ours or standard or top in RUN_TIME_NEEDS or late, f"{module} imports {name}"


@pytest.mark.parametrize(
    "module",
    ["keras_wsseg", "keras_wsseg.imaging", "keras_wsseg.export", "keras_wsseg.export.onnx_segmenter"],
)
def test_importing_for_inference_loads_no_framework(module):
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*FRAMEWORKS, "PIL", "imagecodecs", "scipy", "onnx", "tf2onnx"} & set(done.stdout.split())


def test_export_has_one_name():
    done = subprocess.run([sys.executable, "-c", "import export"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "imported as `keras_wsseg.export` only. Received: export" in done.stderr


def test_every_package_is_listed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    packages = {module for module, path in modules().items() if path.name == "__init__.py"}
    assert listed == sorted(packages)
    assert config["options"]["package_dir"].split("\n")[1:] == ["keras_wsseg.export = export"]


def test_no_module_is_outside_a_package():
    packages = {path.parent for path in modules().values() if path.name == "__init__.py"}
    assert [path for path in modules().values() if path.parent not in packages] == []


def test_no_file_holds_odds_and_ends():
    assert [path for path in modules().values() if path.stem in ("utils", "util", "helpers", "misc")] == []
