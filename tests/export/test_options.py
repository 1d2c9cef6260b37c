import dataclasses
import re

import pytest

from keras_wsseg.export import ExportOptions, OnnxSegmenter, to_litert, to_onnx, to_saved_model
from keras_wsseg.export.limits import USUAL_LIMITS, Limits
from keras_wsseg.export.options import with_fields

WRITERS = [(to_onnx, "a.onnx"), (to_saved_model, "saved"), (to_litert, "a.tflite")]
EACH = pytest.mark.parametrize(("write", "name"), WRITERS, ids=[write.__name__ for write, _ in WRITERS])


def test_defaults():
    options = ExportOptions()
    assert options.input_dtype == "float32"
    others = [field.name for field in dataclasses.fields(options) if field.name != "input_dtype"]
    assert set(others) == {
        "class_names", "palette", "value_range", "metadata", "crf", "tta", "size", "check_sizes",
        "tolerance", "mean_tolerance", "min_equal_classes",
    }  # fmt: skip
    assert all(getattr(options, name) is None for name in others)
    assert with_fields(None, {}) == options
    for precision, usual in USUAL_LIMITS.items():
        assert options.limits(precision) == usual


def test_fields_go_before_options_which_stay_as_they_are():
    options = ExportOptions(size=64, tolerance=0.5)
    changed = with_fields(options, {"input_dtype": "uint8", "tolerance": 0.25})
    assert changed == ExportOptions(size=64, tolerance=0.25, input_dtype="uint8")
    assert options == ExportOptions(size=64, tolerance=0.5)
    assert changed.limits("int8") == Limits(0.25, 0.1, 0.9)
    assert with_fields(options, {"size": None}).size is None


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExportOptions().size = 3


def test_an_unknown_field_is_told_with_those_there_are():
    text = (
        "An export takes class_names, palette, value_range, metadata, crf, tta, size, input_dtype, "
        "check_sizes, tolerance, mean_tolerance, min_equal_classes besides its own arguments. "
        "Received: refine='windowed'"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        with_fields(None, {"size": 3, "refine": "windowed"})


@pytest.mark.parametrize("options", ({"size": 64}, "windowed", ["a", "b"]))
def test_options_of_another_type_are_told(options):
    text = "`options` must be ExportOptions, or None with its fields as keyword arguments. Received: options="
    with pytest.raises(TypeError, match=f"^{re.escape(f'{text}{options!r}')}$"):
        with_fields(options, {})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("tolerance", 0, "a number above 0"),
        ("mean_tolerance", "small", "a number above 0"),
        ("min_equal_classes", 99, "a number from 0 to 1"),
    ],
)
def test_a_limit_out_of_range_is_refused_at_once(field, value, words):
    text = f"`{field}` must be {words}. Received: {field}={value!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        ExportOptions(**{field: value})
    with pytest.raises(ValueError, match=re.escape(text)):
        with_fields(ExportOptions(), {field: value})


@EACH
def test_every_export_refuses_what_it_does_not_know(tiny_segmenter, tmp_path, write, name):
    for arguments, text in (
        ({"refine": None}, "An export takes class_names, .* Received: refine=None"),
        ({"options": ["a", "b"]}, r"`options` must be ExportOptions.* Received: options=\['a', 'b'\]"),
    ):
        with pytest.raises(TypeError, match=text):
            write(tiny_segmenter(), tmp_path / name, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_one_object_serves_several_files_of_which_each_may_differ(tiny_segmenter, tmp_path):
    options = ExportOptions(class_names=["road", "sky", "tree", "car"], input_dtype="uint8")
    to_onnx(tiny_segmenter(), tmp_path / "a.onnx", options)
    to_onnx(tiny_segmenter(), tmp_path / "b.onnx", options, input_dtype="float32", metadata={"method": "own"})
    one, other = (OnnxSegmenter(tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert one.class_names == other.class_names == ("road", "sky", "tree", "car")
    assert one.metadata["input_dtype"] == "uint8" and other.metadata["input_dtype"] == "float32"
    assert other.metadata["method"] == "own" and "method" not in one.metadata
