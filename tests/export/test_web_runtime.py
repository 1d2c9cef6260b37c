import http.server
import io
import tarfile
import threading

import pytest

from keras_wsseg.export import web_runtime
from keras_wsseg.export.web_runtime import CDN, FILES, MODULE, VERSION, WASM, find_runtime, place_runtime

CONTENT = {MODULE: b"export {};", WASM: b"\0asm"}


def integrity(content, folder):
    (folder / "content").write_bytes(content)
    return web_runtime._integrity(folder / "content")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry with a small package under the right name, and an empty cache; counts the requests."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tarball:
        for name, content in {**CONTENT, "ort.all.js": b"not needed"}.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            tarball.addfile(member, io.BytesIO(content))
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(server.tarball)))
            self.end_headers()
            self.wfile.write(server.tarball[: server.sent])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.tarball, server.sent, server.asked = archive.getvalue(), None, asked
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/npm/")
    monkeypatch.setattr(web_runtime, "TARBALL", integrity(server.tarball, tmp_path))
    monkeypatch.setattr(
        web_runtime, "FILES", {name: integrity(content, tmp_path) for name, content in CONTENT.items()}
    )
    monkeypatch.setattr(web_runtime, "user_cache", lambda: tmp_path / "cache")
    yield server
    server.shutdown()
    server.server_close()


def test_downloaded_once_and_kept(registry, caplog):
    caplog.set_level("INFO", logger="keras_wsseg")
    for _ in range(2):
        folder = find_runtime("download")
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == CONTENT
    assert [record.message[:24] for record in caplog.records] == ["downloading http://127.0"]
    assert registry.asked == [f"/npm/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"]


def test_damaged_cache_is_downloaded_again(registry):
    folder = find_runtime("download")
    (folder / WASM).write_bytes(b"\0as")
    assert (find_runtime("download") / WASM).read_bytes() == CONTENT[WASM]
    assert len(registry.asked) == 2


def test_package_that_is_not_the_published_one(registry):
    registry.tarball = registry.tarball[:-1] + b"x"
    with pytest.raises(ValueError, match=f"onnxruntime-web {VERSION} as published, .* Received: sha512"):
        find_runtime("download")
    assert list((web_runtime.user_cache()).rglob("*.*js")) == []


def test_download_that_breaks_off(registry):
    registry.sent = 10
    with pytest.raises((ConnectionError, ValueError), match="`runtime='download'`"):
        find_runtime("download")
    registry.sent = None
    assert (find_runtime("download") / MODULE).is_file()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "no address", "http://name.invalid"])
def test_no_registry(registry, monkeypatch, address):
    monkeypatch.setenv("npm_config_registry", address)
    with pytest.raises(
        ConnectionError, match=f"use runtime='cdn', or a folder .* Received: .* from {address}"
    ):
        find_runtime("download")


@pytest.mark.parametrize("inside", ["", "dist"])
def test_folder_of_files(tmp_path, inside):
    home = tmp_path / "onnxruntime-web" / inside
    home.mkdir(parents=True)
    for name, content in CONTENT.items():
        (home / name).write_bytes(content)
    page = tmp_path / "page"
    page.mkdir()
    source = find_runtime(tmp_path / "onnxruntime-web")
    placed = place_runtime(source, page)
    assert {kind: (page / place).read_bytes() for kind, place in placed.items()} == {
        "module": CONTENT[MODULE],
        "wasm": CONTENT[WASM],
    }
    assert placed["module"].endswith(".js")


def test_folder_without_the_files(tmp_path):
    (tmp_path / WASM).write_bytes(b"")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            FileNotFoundError, match=rf"'download', 'cdn' or a folder .* Received: .*{folder.name}"
        ):
            find_runtime(folder)


def test_public_server_comes_with_checksums(tmp_path):
    assert find_runtime("cdn") is None
    placed = place_runtime(None, tmp_path)
    assert placed["module"] == f"{CDN}/{MODULE}" and VERSION in placed["wasm"]
    assert placed["integrity"] == {"module": FILES[MODULE], "wasm": FILES[WASM]}
    assert list(tmp_path.iterdir()) == []
