import dataclasses
import io
import json
import subprocess
import sys

import keras
import pytest

from keras_wsseg.export import tensorflow_process
from keras_wsseg.export.deployment import Deployment, GraphForm
from keras_wsseg.export.source import ImageShape

FORM = GraphForm(ImageShape(None, None, None, 3))


def save_with_a_layer_that_is_gone(path):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x * 2.0

    image = keras.Input((None, None, 3))
    keras.Model(image, Own()(image)).save(path)


def test_a_layer_that_cannot_be_found_is_one_line(tmp_path, monkeypatch, capsys):
    save_with_a_layer_that_is_gone(tmp_path / "a.keras")
    job = {
        "kind": "to_raw_onnx",
        "models": {"segmenter": str(tmp_path / "a.keras")},
        "head": {"resize": False, "flip": False, "scales": [1.0]},
        "form": dataclasses.asdict(FORM),
        "options": {"opset": 15},
        "path": str(tmp_path / "a.onnx"),
        "modules": ["a_module_that_is_not_there"],
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(job)))
    assert tensorflow_process.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert said[0].startswith("`segmenter` must load under KERAS_BACKEND=tensorflow")
    assert "class 'Own'" in said[0]
    assert not (tmp_path / "a.onnx").exists()


def test_a_job_holds_all_that_the_other_side_needs(tiny_segmenter, tmp_path, monkeypatch):
    def run_here(command, input, env, **options):
        assert env["KERAS_BACKEND"] == "tensorflow"
        monkeypatch.setattr(sys, "stdin", io.StringIO(input))
        return subprocess.CompletedProcess(command, tensorflow_process.main(), "", "")

    monkeypatch.setattr(tensorflow_process.subprocess, "run", run_here)
    tensorflow_process.convert_in_subprocess(
        "to_raw_onnx", Deployment(tiny_segmenter(), True), FORM, tmp_path / "a.onnx", opset=15
    )
    assert (tmp_path / "a.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    "out,err,words", [("noise\nthe reason\n", "x", "^the reason$"), ("", "trace\nlast", "^last$")]
)
def test_what_went_wrong_there_is_raised_here(tiny_segmenter, tmp_path, monkeypatch, out, err, words):
    def fail(command, **options):
        return subprocess.CompletedProcess(command, 1, out, err)

    monkeypatch.setattr(tensorflow_process.subprocess, "run", fail)
    with pytest.raises(ValueError, match=words):
        tensorflow_process.convert_in_subprocess(
            "to_raw_onnx", Deployment(tiny_segmenter(), True), FORM, tmp_path / "a.onnx", opset=15
        )
