import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import read_label_map
from keras_wsseg.cli.main import main
from keras_wsseg.export import OnnxSegmenter


def predict(*argv):
    return main(["predict", *map(str, argv)])


def test_masks_are_those_of_the_segmenter(exported, folder, tmp_path, capsys):
    assert predict(exported, folder / "images", "--out", tmp_path / "masks") == 0
    assert f"6 of 6 masks in {tmp_path / 'masks'}" in capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert files == [f"p{index}.png" for index in range(6)]
    segmenter = OnnxSegmenter(exported)
    mask = read_label_map(tmp_path / "masks" / "p3.png")
    np.testing.assert_array_equal(mask, segmenter(folder / "images" / "p3.png"))
    palette = np.array(Image.open(tmp_path / "masks" / "p3.png").getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette[:2], segmenter.palette)


def test_keras_and_onnx_agree(trained, exported, folder, tmp_path):
    picture = folder / "images" / "p0.png"
    assert predict(exported, picture, "--out", tmp_path / "onnx", "--probabilities", "--overlay") == 0
    assert predict(trained, picture, "--out", tmp_path / "keras", "--probabilities", "--overlay") == 0
    found, expected = (np.load(tmp_path / kind / "probabilities" / "p0.npy") for kind in ("onnx", "keras"))
    assert found.shape == (32, 32, 2) and found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(read_label_map(tmp_path / "keras" / "p0.png"), expected.argmax(-1))
    assert Image.open(tmp_path / "keras" / "overlay" / "p0.png").size == (32, 32)


def test_files_folders_and_patterns_each_once(exported, folder, tmp_path):
    images = folder / "images"
    status = predict(exported, images / "p1.png", images / "p[1-3].png", "--out", tmp_path / "masks")
    assert status == 0
    assert sorted(path.stem for path in (tmp_path / "masks").iterdir()) == ["p1", "p2", "p3"]


def test_grey_and_large_pictures_are_taken(exported, tmp_path):
    Image.fromarray(np.full((20, 45), 90, np.uint8)).save(tmp_path / "grey.jpg")
    assert predict(exported, tmp_path / "grey.jpg", "--out", tmp_path / "masks") == 0
    assert read_label_map(tmp_path / "masks" / "grey.png").shape == (20, 45)


def test_a_bad_picture_stops_no_other(exported, folder, tmp_path, capsys):
    (tmp_path / "bad.png").write_text("no picture")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    good = folder / "images" / "p0.png"
    capsys.readouterr()
    assert predict(exported, tmp_path / "bad.png", tmp_path / "deep.png", good, "--out", tmp_path / "m") == 1
    said = capsys.readouterr()
    assert said.out == f"1 of 3 masks in {tmp_path / 'm'}\n"
    bad, deep = said.err.splitlines()
    assert bad.startswith(f"keras-wsseg: not predicted: {tmp_path / 'bad.png'}: The picture")
    assert "must have values between 0 and 255" in deep
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["p0.png"]


def test_a_keras_segmenter_refuses_a_foreign_range(trained, tmp_path, capsys):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert predict(trained, tmp_path / "deep.png", "--out", tmp_path / "m") == 1
    assert "must have values between 0 and 255 for this segmenter" in capsys.readouterr().err


def test_inputs_are_never_overwritten(fails, exported, folder, tmp_path):
    images = folder / "images"
    before = {path: path.read_bytes() for path in images.iterdir()}
    text = "--out must be another folder than that of the pictures."
    assert fails("predict", exported, images, "--out", images).startswith(text)
    (tmp_path / "overlay").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "overlay" / "a.png")
    assert fails("predict", exported, tmp_path / "overlay", "--out", tmp_path).startswith(text)
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_wrong_words_are_told(fails, exported, folder, tmp_path):
    out = tmp_path / "masks"
    assert fails("predict", exported, "no*.png", "--out", out) == (
        "INPUT must be a picture, a folder or a pattern. Received: 'no*.png'"
    )
    (tmp_path / "empty").mkdir()
    assert "must hold at least one" in fails("predict", exported, tmp_path / "empty", "--out", out)
    Image.new("RGB", (8, 8)).save(tmp_path / "p0.jpg")
    assert fails("predict", exported, folder / "images", tmp_path / "p0.jpg", "--out", out).startswith(
        "Pictures must differ in name, since masks are named after them."
    )
    assert fails("predict", tmp_path / "no.onnx", folder / "images", "--out", out).startswith(
        "`path` must be"
    )
    (tmp_path / "file").touch()
    assert "--out must be a folder" in fails(
        "predict", exported, folder / "images", "--out", tmp_path / "file"
    )
    assert not out.exists()


@pytest.mark.parametrize("option", ["--overlay", "--probabilities"])
def test_an_onnx_file_runs_without_keras(exported, folder, tmp_path, option):
    code = """
import sys
from keras_wsseg.cli.main import main
assert main(sys.argv[1:]) == 0
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    words = ["predict", str(exported), str(folder / "images"), "--out", str(tmp_path / "m"), option]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
