"""Makes the source tree importable the way an installed package is, and finds the real data where it lies."""

import importlib.util
import os
import pathlib
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _import_export_from_source():
    # Installed (also editable), the package mapping of setup.cfg provides keras_wsseg.export by itself.
    try:
        if importlib.util.find_spec("keras_wsseg.export"):
            return
    except ModuleNotFoundError:
        pass
    sys.path.insert(0, str(ROOT))
    spec = importlib.util.spec_from_file_location(
        "keras_wsseg.export", ROOT / "export" / "__init__.py", submodule_search_locations=[str(ROOT / "export")]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["keras_wsseg.export"] = module
    spec.loader.exec_module(module)


_import_export_from_source()


@pytest.fixture(scope="session")
def real_data():
    """Folder of real pictures with weak and dense labels; tests that read it skip where it is absent."""
    folder = pathlib.Path(os.environ.get("KERAS_WSSEG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}")
    return folder
