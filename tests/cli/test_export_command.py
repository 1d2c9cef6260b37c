import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_wsseg.cli import console
from keras_wsseg.cli.main import main
from keras_wsseg.export import OnnxSegmenter


def test_names_and_method_travel_from_the_run(exported):
    segmenter = OnnxSegmenter(exported)
    assert segmenter.class_names == ("background", "ellipse")
    assert segmenter.metadata["method"] == "gated_crf"
    assert segmenter.value_range == (0.0, 255.0) and segmenter.channels == 3


def test_report_and_next_command(trained, tmp_path, capsys):
    out = tmp_path / "new folder" / "a.onnx"
    assert main(["export", str(trained / "segmenter.keras"), str(out), "--class-names", "ground, blob"]) == 0
    said = capsys.readouterr().out
    assert "largest difference from Keras" in said and "pixels whose class changes" in said
    assert said.rstrip().endswith(f"{console.own_command()} predict '{out}' IMAGES --out masks --overlay")
    assert OnnxSegmenter(out).class_names == ("ground", "blob")


def test_a_model_from_elsewhere(tmp_path):
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
    model.save(tmp_path / "own.keras")
    assert main(["export", str(tmp_path / "own.keras"), str(tmp_path / "own.onnx")]) == 0
    assert OnnxSegmenter(tmp_path / "own.onnx").class_names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--class-names", "one"], "`class_names` must name the 2 classes of the segmenter."),
        (["--class-names", "a,a"], "`class_names` must be distinct strings."),
        (["--tolerance", "0"], "`tolerance` must be a number above 0. Received: tolerance=0.0"),
        (
            ["--tolerance", "1e-30"],
            "`segmenter` must give the same probabilities in ONNX Runtime in float32 as in Keras",
        ),
        (["--tolerance", "x"], "argument --tolerance: invalid float value: 'x'"),
        (["--size", "640"], "--size must be WIDTHxHEIGHT in pixels, such as 640x480. Received: '640'"),
        (["--size", "0x8"], "--size must be WIDTHxHEIGHT"),
        (["--tta-scales", "1,x"], "--tta-scales must be numbers such as 0.75,1,1.25. Received: '1,x'"),
        (["--tta-scales", "1"], "`tta` must flip or scale, or be None."),
        (["--crf", "dense"], "--crf must be windowed, as a dense one does not export."),
        (["--crf-sigma-xy", "3"], "--crf-sigma-xy needs --crf windowed"),
        (["--precision", "int8"], "`calibration` must be a folder"),
        (["--calibration-images", "3"], "--calibration-images goes with --calibration DIR."),
        (["--outputs", "masks"], "`outputs` must be a list of probabilities or classes"),
        (["--web-runtime", "cdn"], "--web-runtime goes with --web DIR. Received: 'cdn'"),
    ],
)
def test_wrong_options_leave_no_file(fails, trained, tmp_path, options, text):
    assert fails("export", trained, tmp_path / "a.onnx", *options).startswith(text)
    assert list(tmp_path.iterdir()) == []


def test_wrong_files_are_told(fails, trained, exported, tmp_path):
    assert fails("export", tmp_path / "no", tmp_path / "a.onnx").startswith(
        "There must be a run folder or file"
    )
    assert fails("export", trained, tmp_path / "a.txt").startswith("OUT must end in .onnx or .tflite,")
    assert fails("export", exported, tmp_path / "a.onnx").startswith("A segmenter to export must be")


def test_all_of_it_in_one_file(trained, folder, tmp_path, capsys):
    out = tmp_path / "a.onnx"
    options = ["--crf", "windowed", "--crf-iterations", "2", "--tta-flip", "--tta-scales", "0.5,1"]
    options += ["--input-dtype", "uint8", "--outputs", "classes", "--opset", "17", "--size", "40x32"]
    options += ["--precision", "int8", "--calibration", str(folder / "images"), "--min-equal-classes", "0"]
    assert main(["export", str(trained), str(out), *options, "--mean-tolerance", "1"]) == 0
    said = capsys.readouterr().out
    assert "40x32" in said and "int8" in said and "17" in said
    segmenter = OnnxSegmenter(out)
    assert "2 steps" in segmenter.metadata["crf"] and segmenter.metadata["precision"] == "int8"
    assert segmenter.metadata["tta"] == "mean probability at scales 0.5, 1, each mirrored too"
    assert segmenter(np.zeros((32, 40, 3), "uint8")).shape == (32, 40)


def test_a_page_for_the_browser(trained, tmp_path, capsys):
    out, page = tmp_path / "a.onnx", tmp_path / "a page"
    assert main(["export", str(trained), str(out), "--web", str(page), "--web-runtime", "cdn"]) == 0
    said = capsys.readouterr().out
    assert f"python -m http.server --directory '{page}'" in said
    assert (page / "index.html").is_file() and out.is_file()


def test_a_page_is_not_written_over_what_is_somebody_elses(fails, trained, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    told = fails("export", trained, tmp_path / "a.onnx", "--web", tmp_path, "--web-runtime", "cdn")
    assert "index.html" in told and not (tmp_path / "a.onnx").exists()


def test_what_fails_leaves_no_folder(fails, trained, tmp_path):
    out = tmp_path / "one" / "two" / "a.onnx"
    assert fails("export", trained, out, "--precision", "int8").startswith("`calibration` must be")
    assert list(tmp_path.iterdir()) == []


INTERRUPTED = """
import os, signal, sys
from keras_wsseg.cli.main import main
from keras_wsseg.export import onnx_writer

def stop(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)

onnx_writer._reduce_precision = stop
sys.exit(main(sys.argv[1:]))
"""


def test_sigterm_leaves_nothing(trained, tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, "export", str(trained), str(tmp_path / "new" / "a.onnx")]
    assert subprocess.run(command, capture_output=True).returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_other_formats(trained, tmp_path, capsys):
    assert main(["export", str(trained), str(tmp_path / "a.tflite"), "--size", "40x32"]) == 0
    assert main(["export", str(trained), str(tmp_path / "saved"), "--crf", "windowed"]) == 0
    said = capsys.readouterr().out
    assert "predict" not in said and said.count("pixels whose class changes") == 2
    assert (tmp_path / "a.tflite").stat().st_size > 1000
    assert (tmp_path / "saved" / "saved_model.pb").is_file()


@pytest.mark.parametrize("option", ["--precision=float16", "--outputs=classes", "--opset=15", "--web=page"])
def test_options_of_onnx_alone(fails, trained, tmp_path, option):
    name = option.split("=")[0]
    assert fails("export", trained, tmp_path / "a.tflite", option).startswith(f"{name} is for ONNX alone.")
    assert list(tmp_path.iterdir()) == []
