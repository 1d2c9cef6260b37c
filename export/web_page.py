"""Writes a web page that runs a segmenter in the browser."""

import json
import os
import pathlib
import shutil
import tempfile

from keras_wsseg.arguments import check_integer
from keras_wsseg.export.session import Session
from keras_wsseg.export.web_runtime import PLACES, find_runtime, place_runtime

ASSETS = pathlib.Path(__file__).with_name("web")
MODEL = "segmenter.onnx"
DESCRIPTION = "segmenter.json"
# Seconds on one core for a network of a few million weights.
MAX_PIXELS = 500_000


def to_web(path, folder, runtime="download", title=None, max_pixels=MAX_PIXELS):
    """Writes a page that runs an exported segmenter in the browser: drop an image, see its mask.

    It demonstrates a segmenter to people who install nothing, and their images never leave their machine. The
    folder contains all that the page needs, so that any web server can serve it, even offline: `python -m
    http.server --directory FOLDER`. A page opened from a file cannot read neighboring files, so a server is
    required; one that sends `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy:
    require-corp` lets the page use several cores.

    The file is run by ONNX Runtime Web, as WebAssembly on the CPU. PNG, JPEG, WebP, GIF and BMP files yield
    the same pixels as in `OnnxSegmenter`: rotated by their EXIF orientation, converted to gray for a gray
    segmenter and to RGB for an RGB one, and scaled linearly from 0 to 255 to its `value_range`. Files with
    transparent pixels or several images are rejected, as there, and so is what a browser does not decode
    exactly: 16 bits per channel and CMYK. A file of fixed size runs images in overlapping windows of its
    size, as `OnnxSegmenter` does.

    Args:
        path: file written by `to_onnx`, for gray or RGB images.
        folder: folder to write; an existing page is replaced, other files are kept.
        runtime: where ONNX Runtime Web comes from. `"download"` (default) downloads it from the npm registry,
            verifies its checksum, and keeps it in the user's cache folder; a folder, such as
            `node_modules/onnxruntime-web`, supplies its files; with `"cdn"` each visitor's browser fetches it
            from cdn.jsdelivr.net, so that the page is 14 MB smaller but requires the internet.
        title: heading of the page; by default the name of the file.
        max_pixels: number of pixels of the largest image that is segmented at full size; a larger one is
            scaled down to it, and its mask scaled up again. Time and memory grow with it; visitors may choose
            another limit.

    Returns:
        Path of the page, `index.html` in the folder.

    Raises:
        FileNotFoundError: if the file, the folder around `folder` or the runtime does not exist.
        ValueError: if the file is not a segmenter or takes images that a browser cannot read, unrelated files
            would be overwritten, an argument is invalid, or the download has another checksum than published.
        PermissionError: if `folder` cannot be written.
        ConnectionError: if the registry does not answer.
        ImportError: if a package of the extra `export` is missing.

    Example:

    >>> from keras_wsseg.export import to_onnx
    >>> image = keras.Input((None, None, 3))
    >>> report = to_onnx(keras.Model(image, keras.layers.Conv2D(4, 3)(image)), "roads.onnx")
    >>> page = to_web("roads.onnx", "page", runtime="cdn")
    >>> sorted(file.name for file in page.parent.glob("*.*"))
    ['header.js', 'image.js', 'index.html', 'legend.js', 'orientation.js', 'page.css', 'page.js', 'png.js',
     'segmenter.js', 'segmenter.json', 'segmenter.onnx', 'windows.js', 'worker.js']
    """
    path, folder = pathlib.Path(path), pathlib.Path(folder)
    check_integer("max_pixels", max_pixels, low=1)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be an existing file. Received: path={str(path)!r}")
    about = _describe(path, title or path.stem, max_pixels)
    source = prepare_web(path, folder, runtime)
    with _draft_folder(folder) as hidden:
        draft = pathlib.Path(hidden) / "page"
        for asset in _files(ASSETS):
            copy = draft / asset.relative_to(ASSETS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(asset, copy)
        about["runtime"] = place_runtime(source, draft)
        shutil.copyfile(path, draft / MODEL)
        (draft / DESCRIPTION).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        _publish(draft, folder)
    return folder / "index.html"


def prepare_web(path, folder, runtime):
    """Runs the steps of `to_web` that can fail without the segmenter, for callers that export it afterwards.

    Args:
        path, folder, runtime: as `to_web` takes them; the file need not exist.

    Returns:
        The `source` for `web_runtime.place_runtime`.

    Raises:
        FileNotFoundError, PermissionError, ValueError, ConnectionError, ImportError: as in `to_web`.
    """
    path, folder = pathlib.Path(path).absolute(), pathlib.Path(folder).absolute()
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"`folder` must lie in an existing folder. Received: folder={str(folder)!r}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`folder` must be a folder. Received: folder={str(folder)!r} which is a file")
    names = [file.relative_to(ASSETS) for file in _files(ASSETS)] + [pathlib.Path(MODEL)]
    others = [str(name) for name in names if (folder / name).exists() and folder / name != path]
    if others and not (folder / DESCRIPTION).is_file():
        raise ValueError(
            "`folder` must be free for a page, or contain one written before. "
            f"Received: folder={str(folder)!r} which holds {', '.join(sorted(others))} already"
        )
    try:
        with _draft_folder(folder):
            pass
    except OSError as error:
        raise type(error)(
            f"`folder` must be writable. Received: folder={str(folder)!r}: {error.strerror}"
        ) from error
    return find_runtime(runtime)


def _draft_folder(folder):
    # In the folder itself if it exists, since its parent may be on another file system.
    around = folder if folder.is_dir() else folder.parent
    return tempfile.TemporaryDirectory(prefix=".page.", dir=around)


def _describe(path, title, max_pixels):
    """The page's configuration, since ONNX Runtime Web does not expose the metadata of a file."""
    session = Session(path, ["CPUExecutionProvider"], threads=1)
    about, (batch, height, width) = session.about, session.fixed
    if about.channels not in (1, 3):
        raise ValueError(
            f"`path` must be a segmenter for gray or RGB images, since a browser reads no other. "
            f"Received: path={str(path)!r} for {about.channels} channels"
        )
    if batch not in (None, 1):
        raise ValueError(
            "`path` must be a segmenter that takes one image at a time. "
            f"Received: path={str(path)!r} for batches of {batch}"
        )
    return {
        "title": title,
        "file": MODEL,
        "class_names": about.class_names,
        "palette": about.palette,
        "value_range": about.value_range,
        "channels": about.channels,
        "input": {"type": session.dtype.__name__, "height": height, "width": width},
        "max_pixels": max_pixels,
        "metadata": {name: text for name, text in about.extra.items() if name != "input_dtype"},
    }


def _publish(draft, folder):
    if not folder.exists():
        os.replace(draft, folder)
        return
    # The page itself is written last, so that all files it requests exist.
    files = [file.relative_to(draft) for file in _files(draft)]
    for file in sorted(files, key=lambda file: file.name == "index.html"):
        (folder / file).parent.mkdir(exist_ok=True)
        os.replace(draft / file, folder / file)
    for place in {*map(pathlib.Path, PLACES.values())} - {*files}:
        (folder / place).unlink(missing_ok=True)


def _files(folder):
    return [file for file in folder.rglob("*") if file.is_file()]
