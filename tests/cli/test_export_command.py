import keras
import pytest

from keras_wsseg.cli import console
from keras_wsseg.cli.main import main
from keras_wsseg.export import OnnxSegmenter


def test_names_and_method_travel_from_the_run(exported):
    segmenter = OnnxSegmenter(exported)
    assert segmenter.class_names == ("background", "ellipse")
    assert segmenter.metadata["method"] == "gated-crf"
    assert segmenter.value_range == (0.0, 255.0) and segmenter.channels == 3


def test_report_and_next_command(trained, tmp_path, capsys):
    out = tmp_path / "new folder" / "a.onnx"
    assert main(["export", str(trained / "segmenter.keras"), str(out), "--class-names", "ground, blob"]) == 0
    said = capsys.readouterr().out
    assert "largest difference from Keras" in said and "(allowed: 0.0001)" in said
    assert said.rstrip().endswith(f"{console.own_command()} predict '{out}' PICTURES --out masks --overlay")
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
        (["--class-names", "one"], "`class_names` must name the 2 classes that the segmenter tells apart."),
        (["--class-names", "a,a"], "`class_names` must be different texts."),
        (["--tolerance", "0"], "--tolerance must be greater than 0. Received: 0.0"),
        (
            ["--tolerance", "1e-30"],
            "`segmenter` must give the same probabilities in ONNX Runtime as in Keras",
        ),
        (["--tolerance", "x"], "argument --tolerance: invalid float value: 'x'"),
    ],
)
def test_wrong_options_leave_no_file(fails, trained, tmp_path, options, text):
    assert fails("export", trained, tmp_path / "a.onnx", *options).startswith(text)
    assert list(tmp_path.iterdir()) == []


def test_wrong_files_are_told(fails, trained, exported, tmp_path):
    assert fails("export", tmp_path / "no", tmp_path / "a.onnx").startswith(
        "There must be a run folder or file"
    )
    assert fails("export", trained, tmp_path / "a.txt").startswith("OUT.onnx must end in .onnx.")
    assert fails("export", exported, tmp_path / "a.onnx").startswith("A segmenter to export must be")
