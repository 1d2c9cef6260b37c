import json

import pytest

from keras_wsseg.cli.main import main
from keras_wsseg.training import RunFolder


def scores_of(capsys, *argv):
    capsys.readouterr()
    assert main(["evaluate", *map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_all_kinds_of_files_score_alike(trained, exported, folder, capsys):
    expected = RunFolder(trained).read_scores()
    assert scores_of(capsys, trained, folder) == expected
    assert scores_of(capsys, trained / "segmenter.keras", folder) == expected
    by_onnx = scores_of(capsys, exported, folder)
    assert by_onnx["mean_iou"] == pytest.approx(expected["mean_iou"], abs=2e-3)
    assert by_onnx["iou"].keys() == expected["iou"].keys()


def test_table(trained, folder, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(trained), str(folder)]) == 0
    said = capsys.readouterr().out
    mean = RunFolder(trained).read_scores()["mean_iou"]
    assert "background" in said and f"{100 * mean:.1f}" in said
    assert "In points of 100; 2 images; the mean Dice leaves out the first class." in said


def test_splits_and_groups(exported, folder, capsys):
    assert scores_of(capsys, exported, folder, "--split", "none")["images"] == 6
    assert scores_of(capsys, exported, folder, "--split", "train")["images"] == 4
    assert scores_of(capsys, exported, folder, "--group-by", r"(p\d)")["groups"] == 2
    assert main(["evaluate", str(exported), str(folder), "--group-by", r"(p\d)"]) == 0
    assert "2 images in 2 groups, Dice per group" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ("windowed", "dense"))
def test_with_a_crf_behind_it(trained, exported, folder, capsys, kind):
    plain = scores_of(capsys, trained, folder)
    options = ("--crf", kind, "--crf-iterations", 2, "--crf-sigma-xy", 5, "--crf-coupling", 8)
    refined = scores_of(capsys, trained, folder, *options)
    assert refined["mean_iou"] != plain["mean_iou"]
    by_onnx = scores_of(capsys, exported, folder, *options)
    assert by_onnx["mean_iou"] == pytest.approx(refined["mean_iou"], abs=5e-3)


def test_names_come_from_the_segmenter_where_the_folder_has_none(exported, make_folder, tmp_path, capsys):
    data = make_folder(tmp_path / "data")
    (data / "classes.txt").unlink()
    assert list(scores_of(capsys, exported, data)["iou"]) == ["background", "ellipse"]


def test_wrong_words_are_told(fails, trained, exported, folder, tmp_path):
    assert fails("evaluate", trained, tmp_path / "no").startswith("DATA must be a folder")
    assert "no.txt'" in fails("evaluate", exported, folder, "--split", "no")
    assert fails("evaluate", exported, folder, "--crf-sigma-xy", 5) == (
        "--crf-sigma-xy needs --crf windowed or --crf dense. Received: --crf none"
    )
    assert fails("evaluate", exported, folder, "--group-by", "(") == (
        "group_by must be a regular expression (missing ), unterminated subpattern at position 0). "
        "Received: group_by='('"
    )
    assert "which does not match 'p4'" in fails("evaluate", exported, folder, "--group-by", "(q)")


def test_wrong_segmenters_are_told(fails, folder, trained, exported, tmp_path):
    assert fails("evaluate", tmp_path / "no.keras", folder) == (
        f"There must be a run folder or file of that name. Received: '{tmp_path / 'no.keras'}'"
    )
    assert "must be a run folder of `keras-wsseg train`" in fails("evaluate", folder, folder)
    assert fails("evaluate", folder / "classes.txt", folder).startswith(
        "A segmenter must be a run folder, .keras or .onnx."
    )
    cut = tmp_path / "cut.keras"
    cut.write_bytes((trained / "segmenter.keras").read_bytes()[:500])
    assert fails("evaluate", cut, folder).startswith(f"'{cut}' must be a whole Keras model. Received: ")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(exported.read_bytes()[:500])
    assert "must be a whole ONNX file" in fails("evaluate", cut, folder)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.json").write_text((trained / "config.json").read_text())
    assert "must have come to its end: go on with --resume" in fails("evaluate", unfinished, folder)


def test_another_number_of_classes_is_told(fails, exported, make_folder, tmp_path):
    data = make_folder(tmp_path / "data")
    (data / "classes.txt").write_text("a\nb\nc\n")
    assert "classes.txt" in fails("evaluate", exported, data)
