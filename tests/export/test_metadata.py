import pytest
from web_cases import write_segmenter

from keras_wsseg.export import OnnxSegmenter
from keras_wsseg.export.metadata import SegmenterMetadata


def metadata(**extra):
    return SegmenterMetadata(("a", "b"), ((0, 0, 0), (1, 2, 3)), (0.0, 255.0), 3, extra)


def written_by_the_first_version():
    properties = metadata(precision="float32").to_properties("0.1.0")
    return {**properties, "input": "uint8", "refine": "mean field, 5x5 window"}


def test_what_is_written_is_read_again():
    about = metadata(input_dtype="uint8", crf="mean field", precision="float32", method="dense")
    properties = about.to_properties("0.2.0")
    assert SegmenterMetadata.from_properties(properties) == about
    assert properties["preprocessing"].startswith("none: give RGB images as uint8 (batch, height, width, ")
    assert "as float32 (batch" in metadata().to_properties("0.2.0")["preprocessing"]


def test_former_names_are_read_under_the_new_ones():
    about = SegmenterMetadata.from_properties(written_by_the_first_version())
    assert about.extra == {
        "precision": "float32",
        "input_dtype": "uint8",
        "crf": "mean field, 5x5 window",
    }


def test_a_file_of_the_first_version_runs(tmp_path):
    former = {"input": "uint8", "refine": "mean field, 5x5 window"}
    path = write_segmenter(tmp_path / "a.onnx", input_dtype="uint8", extra=former)
    about = OnnxSegmenter(path).metadata
    assert about["input_dtype"] == "uint8" and about["crf"] == "mean field, 5x5 window"
    assert not {"input", "refine"} & set(about)


def test_former_names_are_free_for_texts_of_ones_own_where_the_type_is_said():
    about = metadata(input_dtype="float32", input="camera", refine="by hand")
    assert SegmenterMetadata.from_properties(about.to_properties("0.2.0")) == about


@pytest.mark.parametrize("name", ("class_names", "preprocessing"))
def test_a_name_that_is_missing_is_told(name):
    properties = metadata().to_properties("0.2.0")
    del properties[name]
    with pytest.raises(ValueError, match=f"its metadata lacks {name}"):
        SegmenterMetadata.from_properties(properties)


def test_texts_that_hold_something_else_are_told():
    properties = {**metadata().to_properties("0.2.0"), "palette": "red"}
    with pytest.raises(ValueError, match="its metadata cannot be read: "):
        SegmenterMetadata.from_properties(properties)
