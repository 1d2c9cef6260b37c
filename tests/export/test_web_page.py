import json
import os
import stat
import tempfile

import pytest
from web_cases import write_segmenter

from keras_wsseg.export import to_web, web_page
from keras_wsseg.export.web_page import prepare_web
from keras_wsseg.export.web_runtime import MODULE, WASM


@pytest.fixture
def runtime(tmp_path):
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in (MODULE, WASM):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def segmenter(tmp_path):
    return write_segmenter(
        tmp_path / "straßen 1.onnx", names=["Straße", "b", "c", "d"], extra={"input_dtype": "float32"}
    )


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


ASSETS = {
    "header.js", "index.html", "page.css", "page.js", "legend.js", "orientation.js", "image.js", "png.js",
    "segmenter.js", "windows.js", "worker.js", "onnxruntime/LICENSE",
}  # fmt: skip
MADE = {"segmenter.onnx", "segmenter.json"}
RUNTIME = {"onnxruntime/ort.wasm.bundle.min.js", f"onnxruntime/{WASM}"}


def test_folder_holds_all_that_the_page_needs(segmenter, runtime, tmp_path):
    page = to_web(segmenter, tmp_path / "page", runtime=runtime)
    assert page == tmp_path / "page" / "index.html"
    written = contents(page.parent)
    assert set(written) == ASSETS | MADE | RUNTIME
    assert written["segmenter.onnx"] == segmenter.read_bytes()
    assert b"Microsoft" in written["onnxruntime/LICENSE"]
    about = json.loads(written["segmenter.json"])
    assert about.pop("palette")[0] and about == {
        "title": "straßen 1",
        "file": "segmenter.onnx",
        "class_names": ["Straße", "b", "c", "d"],
        "value_range": [0.0, 255.0],
        "channels": 3,
        "input": {"type": "float32", "height": None, "width": None},
        "max_pixels": 500_000,
        "metadata": {"method": "dense"},
        "runtime": {"module": "onnxruntime/ort.wasm.bundle.min.js", "wasm": f"onnxruntime/{WASM}"},
    }
    # Nothing but the page is left, and other users' servers may read it.
    assert not list(tmp_path.rglob(".*"))
    umask = os.umask(0)
    os.umask(umask)
    for path in (page.parent, *page.parent.rglob("*")):
        allowed = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == allowed & ~umask


def test_form_of_the_file_is_told(runtime, tmp_path):
    path = write_segmenter(tmp_path / "a.onnx", channels=1, input_dtype="uint8", batch=1, height=16)
    page = to_web(path, tmp_path / "page", runtime=runtime, title="Hearts", max_pixels=99)
    about = json.loads((page.parent / "segmenter.json").read_text())
    assert about["input"] == {"type": "uint8", "height": 16, "width": None}
    assert (about["channels"], about["title"], about["max_pixels"]) == (1, "Hearts", 99)


def test_page_written_before_is_replaced_and_other_files_stay(segmenter, runtime, tmp_path):
    page = to_web(segmenter, tmp_path / "page", runtime=runtime)
    (page.parent / "favicon.ico").write_bytes(b"mine")
    page.write_text("old")
    other = write_segmenter(tmp_path / "other.onnx", channels=1)
    to_web(other, page.parent, runtime="cdn")
    written = contents(page.parent)
    assert set(written) == ASSETS | MADE | {"favicon.ico"}
    assert written["segmenter.onnx"] == other.read_bytes()
    assert written["index.html"] == (web_page.ASSETS / "index.html").read_bytes()
    to_web(segmenter, page.parent, runtime=runtime)
    assert set(contents(page.parent)) == ASSETS | MADE | RUNTIME | {"favicon.ico"}


def test_page_around_a_file_that_is_there(runtime, tmp_path):
    (tmp_path / "page").mkdir()
    path = write_segmenter(tmp_path / "page" / "segmenter.onnx")
    whole = path.read_bytes()
    for _ in range(2):
        to_web(path, tmp_path / "page", runtime=runtime)
        assert contents(tmp_path / "page")["segmenter.onnx"] == whole


@pytest.mark.parametrize("before", [None, "empty", "page"])
def test_failure_leaves_the_folder_as_it_was(segmenter, runtime, tmp_path, monkeypatch, before):
    folder = tmp_path / "page"
    if before == "empty":
        folder.mkdir()
    if before == "page":
        to_web(segmenter, folder, runtime=runtime)
    there = contents(folder)

    def fill_the_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(web_page, "place_runtime", fill_the_disk)
    with pytest.raises(OSError, match="no space left"):
        to_web(segmenter, folder, runtime=runtime)
    assert folder.exists() == (before is not None) and contents(folder) == there
    assert not list(tmp_path.rglob(".*"))


def test_folders_that_are_not_for_a_page(segmenter, runtime, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    (tmp_path / "site" / "page.js").write_text("mine")
    with pytest.raises(
        ValueError, match=r"must be free for a page.* which holds index\.html, page\.js already"
    ):
        to_web(segmenter, tmp_path / "site", runtime=runtime)
    assert set(contents(tmp_path / "site")) == {"index.html", "page.js"}
    with pytest.raises(ValueError, match="`folder` must be a folder. Received: .* which is a file"):
        to_web(segmenter, segmenter, runtime=runtime)
    with pytest.raises(
        FileNotFoundError, match="`folder` must lie in an existing folder. Received: .*nowhere"
    ):
        to_web(segmenter, tmp_path / "nowhere" / "page", runtime=runtime)


@pytest.mark.parametrize("there", [False, True])
def test_folders_that_cannot_be_written_are_refused_before_the_export(runtime, tmp_path, monkeypatch, there):
    folder = tmp_path / "page"
    if there:
        folder.mkdir()

    # Permissions do not keep root from writing.
    def refuse(suffix, prefix, dir):
        assert dir == (folder if there else tmp_path)
        raise PermissionError(13, "Permission denied", f"{dir}/{prefix}")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    expected = "`folder` must be writable. Received: folder='.*page': Permission denied$"
    with pytest.raises(OSError, match=expected):
        prepare_web(tmp_path / "later.onnx", folder, runtime)
    assert folder.exists() == there and not list(tmp_path.rglob(".*"))


def test_files_that_are_no_segmenter_for_a_browser(runtime, tmp_path):
    def refuse(path, error, match, **arguments):
        with pytest.raises(error, match=match):
            to_web(path, tmp_path / "page", **{"runtime": runtime, **arguments})
        assert not (tmp_path / "page").exists()

    refuse(tmp_path / "absent.onnx", FileNotFoundError, "`path` must be an existing file. Received: .*absent")
    (tmp_path / "text.onnx").write_text("no segmenter")
    refuse(tmp_path / "text.onnx", ValueError, "`path` must be a whole ONNX file.* Received: .*text.onnx")
    deep = write_segmenter(tmp_path / "deep.onnx", channels=4)
    refuse(deep, ValueError, "gray or RGB images.* Received: .*deep.onnx' for 4 channels")
    batch = write_segmenter(tmp_path / "batch.onnx", batch=2)
    refuse(batch, ValueError, "one image at a time. Received: .*batch.onnx' for batches of 2")
    good = write_segmenter(tmp_path / "good.onnx")
    for limit in (0, 1.5, "many"):
        refuse(good, ValueError, f"`max_pixels` .* Received: max_pixels={limit!r}", max_pixels=limit)
    refuse(good, FileNotFoundError, "`runtime` must be .* Received: runtime='nowhere'", runtime="nowhere")


def test_prepared_before_there_is_a_file(runtime, tmp_path):
    assert prepare_web(tmp_path / "later.onnx", tmp_path / "page", runtime) == runtime
    assert not (tmp_path / "page").exists()
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ValueError, match="must be free for a page"):
        prepare_web(tmp_path / "later.onnx", tmp_path, runtime)
