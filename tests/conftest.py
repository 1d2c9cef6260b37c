"""Finds the real data where it lies."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data():
    """Folder of real pictures with weak and dense labels; tests that read it skip where it is absent."""
    folder = pathlib.Path(os.environ.get("KERAS_WSSEG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}")
    return folder
