"""Where a page's copy of ONNX Runtime Web comes from: the npm registry, a folder, or a public server."""

import base64
import hashlib
import http.client
import logging
import os
import pathlib
import shutil
import tarfile
import tempfile
import urllib.request

VERSION = "1.30.0"
# Checksums of the package as the registry states it, `npm view onnxruntime-web@1.30.0 dist.integrity`, and of
# the two files in it.
TARBALL = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
MODULE = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"
FILES = {
    MODULE: "sha512-1KcF8CWAZeqtTcvLgKPtOMXIbkWeh++LDCQpDhQ5ARVxHAL1VNL5rr0OI+MxTbmNIANldE/A/q+O4gSKgSMjWQ==",
    WASM: "sha512-Gt7e1iIDIZ/PXEhM/OVleqWHVom0kEI/hs8cod0crXcV9jDGM39B23HuQnlOOgDOC3x4k5pxIgtdgzaL9up3MA==",
}
REGISTRY = "https://registry.npmjs.org"
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist"
# Their paths in the folder of a page; not every web server serves .mjs as JavaScript.
PLACES = {MODULE: "onnxruntime/ort.wasm.bundle.min.js", WASM: f"onnxruntime/{WASM}"}
SECONDS_OF_SILENCE = 30


def find_runtime(runtime):
    """Makes sure that the runtime is available, downloading it if needed, before anything is written.

    Args:
        runtime: `download`, `cdn`, or a folder.

    Returns:
        The folder that holds the `FILES`, or None for `cdn`.

    Raises:
        FileNotFoundError: if the folder lacks one of the files.
        ConnectionError: if the registry does not answer.
        ValueError: if the download has another checksum.
        ImportError: if platformdirs is missing.
    """
    if runtime == "cdn":
        return None
    if runtime == "download":
        return _cached_or_downloaded()
    given = pathlib.Path(runtime)
    for folder in (given, given / "dist"):
        if all((folder / name).is_file() for name in FILES):
            return folder
    raise FileNotFoundError(
        f"`runtime` must be 'download', 'cdn' or a folder that holds {MODULE} and {WASM}. "
        f"Received: runtime={os.fspath(runtime)!r}"
    )


def place_runtime(source, page):
    """Copies the runtime into the folder of a page.

    Args:
        source: the result of `find_runtime`.
        page: folder of the page.

    Returns:
        Dictionary for the page's configuration: the URLs of the files, and their checksums if they are on
        another server.
    """
    if source is None:
        addresses = {"module": f"{CDN}/{MODULE}", "wasm": f"{CDN}/{WASM}"}
        return {**addresses, "integrity": {"module": FILES[MODULE], "wasm": FILES[WASM]}}
    for name, place in PLACES.items():
        (page / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, page / place)
    return {"module": PLACES[MODULE], "wasm": PLACES[WASM]}


def user_cache():
    """The user's cache folder."""
    try:
        import platformdirs
    except ImportError as error:
        raise ImportError(
            "Downloading ONNX Runtime Web needs platformdirs: `pip install 'keras-wsseg[export]'`"
        ) from error
    return platformdirs.user_cache_path("keras-wsseg")


def _cached_or_downloaded():
    cache = user_cache() / f"onnxruntime-web-{VERSION}"
    if not all((cache / name).is_file() and _integrity(cache / name) == FILES[name] for name in FILES):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial.", dir=cache) as folder:
            _download(pathlib.Path(folder))
            for name in FILES:
                os.replace(pathlib.Path(folder) / name, cache / name)
    return cache


def _download(folder):
    """Downloads the package from npm's configured registry, and extracts the files to a folder."""
    registry = os.environ.get("npm_config_registry") or REGISTRY
    url = f"{registry.rstrip('/')}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    logging.getLogger("keras_wsseg").info(f"downloading {url} (33 MB), cached for later pages")
    tarball = folder / "package.tgz"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS_OF_SILENCE) as answer, tarball.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConnectionError(
            "`runtime='download'` needs the npm registry: without it, use runtime='cdn', or a folder with "
            f"the files of onnxruntime-web/dist. Received: {error} from {url}"
        ) from error
    if (received := _integrity(tarball)) != TARBALL:
        raise ValueError(
            f"`runtime='download'` must get onnxruntime-web {VERSION} as published, {TARBALL}. "
            f"Received: {received} from {url}"
        )
    with tarfile.open(tarball) as archive:
        for name in FILES:
            with archive.extractfile(f"package/dist/{name}") as inside, (folder / name).open("wb") as file:
                shutil.copyfileobj(inside, file)


def _integrity(path):
    """Checksum in the format of the registry and of browsers."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"
