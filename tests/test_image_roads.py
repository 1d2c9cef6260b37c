"""One rule for image files, held on every road: training, evaluate, predict and the service.

The page for browsers is held to the same table in `tests/export/test_web.py`. The table of the docs is made
of it: `UPDATE_DOCS=1 python -m pytest tests/test_image_roads.py -k docs`.
"""

import io
import json
import os
import pathlib
import re

import numpy as np
import pytest
from image_kinds import CHANNELS, ELSEWHERE, KINDS, SEVERAL, TRANSPARENT, refusal
from PIL import Image
from service_cases import RunningServer, check_refused, write_segmenter

from keras_wsseg.cli.main import main
from keras_wsseg.data import SegmentationFolder
from keras_wsseg.export import OnnxSegmenter

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "guides" / "image-files.md"
RANGES = {"uint8": (0, 255), "uint16": (0, 65535), "float32": (0, 1)}
SAID = {
    TRANSPARENT: "must be opaque",
    SEVERAL: "must be one",
    CHANNELS: "must (have one gray|be an image file)",
    "not looked for": "must hold files with one of the extensions",
    "format not accepted": "must be a PNG, JPEG, WEBP, TIFF or BMP file",
}


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory):
    """A file for each depth of images, and the segmenter in it."""
    folder = tmp_path_factory.mktemp("roads")
    paths = {
        dtype: write_segmenter(folder / f"{dtype}.onnx", value_range=value_range)
        for dtype, value_range in RANGES.items()
    }
    return {dtype: (path, OnnxSegmenter(path, providers=["cpu"])) for dtype, path in paths.items()}


@pytest.fixture(scope="module")
def servers(segmenters):
    """A service for each of them."""
    running = {dtype: RunningServer(segmenter) for dtype, (_, segmenter) in segmenters.items()}
    yield running
    for server in running.values():
        server.stop()


def dtype_of(kind):
    return "uint8" if isinstance(kind.expected, str) else kind.expected.dtype.name


def expected_mask(kind, segmenters):
    colors = np.broadcast_to(kind.expected, (*kind.expected.shape[:2], 3))
    return segmenters[dtype_of(kind)][1](colors)


def check_alike(kind, mask, segmenters):
    alike = np.mean(np.asarray(mask) == expected_mask(kind, segmenters))
    assert alike == 1 if kind.tolerance == 0 else alike > 0.85


def data_folder(root, kind, labels):
    for name in ("images", "labels"):
        (root / name).mkdir()
    kind.write(root / "images" / kind.file_name)
    Image.fromarray(labels).save(root / "labels" / f"{pathlib.Path(kind.file_name).stem}.png")
    return root


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_training(tmp_path, kind):
    why = refusal(kind, "training")
    size = (16, 24) if isinstance(kind.expected, str) else kind.expected.shape[:2]
    root = data_folder(tmp_path, kind, (np.arange(size[0] * size[1]).reshape(size) % 2).astype("uint8"))
    value_range = RANGES[dtype_of(kind)]
    if why is not None:
        with pytest.raises(ValueError, match=SAID[why]):
            SegmentationFolder(root, "labels", value_range=value_range)
        return
    image, _ = SegmentationFolder(root, "labels", value_range=value_range).load(0)
    assert image.shape == kind.expected.shape and image.dtype == kind.expected.dtype
    assert np.abs(image.astype(float) - kind.expected).max() <= kind.tolerance


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_evaluate(tmp_path, capsys, segmenters, kind):
    why, refused = refusal(kind, "evaluate"), isinstance(kind.expected, str)
    labels = np.zeros((16, 24), "uint8") if refused else expected_mask(kind, segmenters)
    root = data_folder(tmp_path, kind, labels)
    status = main(["evaluate", str(segmenters[dtype_of(kind)][0]), str(root), "--split", "none", "--json"])
    printed = capsys.readouterr()
    if why is not None:
        assert status == 2 and re.search(SAID[why], printed.err.strip().splitlines()[-1])
        return
    assert status == 0, printed.err
    ious = [iou for iou in json.loads(printed.out)["iou"].values() if iou is not None]
    assert min(ious) == 1 if kind.tolerance == 0 else np.mean(ious) > 0.5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_predict(tmp_path, capsys, segmenters, kind):
    path = tmp_path / kind.file_name
    kind.write(path)
    status = main(
        ["predict", str(segmenters[dtype_of(kind)][0]), str(path), "--out", str(tmp_path / "masks")]
    )
    printed = capsys.readouterr()
    why = refusal(kind, "predict")
    if why is not None:
        assert status == 1 and re.search(SAID[why], printed.err.strip().splitlines()[-1])
        return
    assert status == 0, printed.err
    check_alike(kind, Image.open(tmp_path / "masks" / f"{path.stem}.png"), segmenters)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_service(tmp_path, servers, segmenters, kind):
    path = tmp_path / kind.file_name
    kind.write(path)
    answer = servers[dtype_of(kind)].ask("POST", "/predict", path.read_bytes())
    why = refusal(kind, "service")
    if why is not None:
        check_refused(answer, 422, SAID[why])
        return
    assert answer[0] == 200, answer
    check_alike(kind, Image.open(io.BytesIO(answer[2])), segmenters)


RULE = """
An image file is read by the same rules in training, in `keras-wsseg evaluate` and `predict`, in
`OnnxSegmenter`, in the service and in the page for browsers:

- **Depth.** 8 bits, 16 bits and float32 are kept. 8 bits are scaled from 255 to the segmenter's value
  range; deeper values are taken as they are and must lie within it. More than 8 bits of color are
  read from PNG, TIFF and JPEG 2000, and refused in PPM and SGI.
- **Alpha.** An alpha channel that hides nothing is dropped; an image with any transparent pixel is refused.
- **Pages.** Animations, stacks and pages are refused; the previews behind a photograph (MPO) are not pages.
- **Bands.** One channel is gray and three are color; a file with further channels is refused.
- **Orientation.** A file is rotated and mirrored as its own tag says (EXIF, XMP), label maps too.
- **Palettes and CMYK** become RGB as Pillow converts them.
- **Gray and color.** Gray is repeated for a segmenter of color images; color becomes its luma (ITU-R 601) for
  one of gray images.
- **Size.** Files that the user names may have any size; the service has its own limit.

Label maps hold ids in one channel or a palette, in a lossless file; gray of 1, 2, 4, 8 or 16 bits is read as
it is stored, also in a TIFF that has white as zero, and all files of a folder must have the same bits.

✓: the pixels as viewers show them, in the depth of the file. Anything else is refused in one sentence before
any work is done, for the reason given here. GIF and MPO are read by `predict` where they are named, and not
looked for in folders. The test that holds this table writes it.
"""


def table():
    """The table of kinds and roads, as the docs show it."""
    lines = [
        "# Image files",
        "",
        *RULE.strip().splitlines(),
        "",
        f"| file | {' | '.join(ELSEWHERE)} |",
        f"|---|{'---|' * len(ELSEWHERE)}",
    ]
    for kind in KINDS:
        cells = [refusal(kind, road) or "✓" for road in ELSEWHERE]
        lines.append(f"| {kind.name} (`{kind.file_name.rpartition('.')[2]}`) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_docs_show_what_is_tested():
    if os.environ.get("UPDATE_DOCS"):
        DOCS.write_text(table(), encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == table()
