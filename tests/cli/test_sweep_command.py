import csv

import pytest

from keras_wsseg.cli.main import main
from keras_wsseg.cli.sweep_command import as_csv, as_markdown, parse_variations, table_of
from keras_wsseg.training import RunFolder, SweepRow

pytestmark = pytest.mark.usefixtures("eagerly")


def test_a_sweep_writes_its_table_and_goes_on_from_there(folder, tmp_path, tiny, capsys):
    out = tmp_path / "sweep"
    command = ["sweep", str(folder), "--out", str(out), *tiny, "--images_every", "0", "--loss", "none"]
    assert main([*command, "--vary", "optimizer.learning_rate=0.01"]) == 0
    said = capsys.readouterr().out
    assert "[1/1] optimizer.learning_rate=0.01, seed=0: " in said and "(found)" not in said
    assert main([*command, "--vary", "optimizer.learning_rate=0.01,0.001"]) == 0
    said = capsys.readouterr().out
    assert said.count("(found)") == 1 and "[2/2] optimizer.learning_rate=0.001, seed=0: " in said
    assert "mean IoU in points of 100" in said
    first, second = (
        RunFolder(out / f"optimizer.learning_rate={rate},seed=0").read_scores()["mean_iou"]
        for rate in ("0.01", "0.001")
    )
    with open(out / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["optimizer.learning_rate"] for row in rows] == ["0.01", "0.001"]
    assert [float(row["mean_iou"]) for row in rows] == pytest.approx([first, second], abs=1e-6)
    assert [float(row["run 1"]) for row in rows] == pytest.approx([first, second], abs=1e-6)
    assert float(rows[1]["difference"]) == pytest.approx(second - first, abs=2e-6)
    lines = (out / "table.md").read_text().splitlines()
    assert lines[0] == "| optimizer.learning_rate | mean IoU | difference | background | ellipse |"
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: |" and len(lines) == 4
    assert f"| {100 * (second - first):+.1f} |" in lines[3]


def test_table():
    rows = [
        SweepRow({"method": "pce", "filters": (4, 8)}, (0.40, 0.44), {"a": 0.5, "b|c": None}),
        SweepRow({"method": "full", "filters": (4, 8)}, (0.5, 0.5), {"a": 0.25, "b|c": 1.0}),
    ]
    title, (columns, lines) = table_of(rows, "mean_dice")
    assert title == "mean Dice in points of 100: mean ± spread over 2 seeds"
    assert columns == ("method", "filters", "mean Dice", "difference", "a", "b|c")
    assert lines[0] == ("pce", "4/8", "42.0 ± 2.8", "", "50.0", "-")
    assert lines[1] == ("full", "4/8", "50.0 ± 0.0", "+8.0", "25.0", "100.0")
    assert as_markdown(columns, lines).splitlines()[0].endswith("| a | b\\|c |")
    title, (_, lines) = table_of([SweepRow({}, (0.4,), {})], "mean_iou")
    assert title == "mean IoU in points of 100" and lines == [("40.0", "")]


def test_table_with_a_crf_behind_the_segmenters():
    rows = [
        SweepRow({"method": "pce"}, (0.40, 0.44), {"a": 0.5}, (0.5, 0.54)),
        SweepRow({"method": "full"}, (0.5, 0.5), {"a": 0.25}),
    ]
    _, (columns, lines) = table_of(rows, "mean_dice")
    assert columns == ("method", "mean Dice", "difference", "with CRF", "a")
    assert lines == [
        ("pce", "42.0 ± 2.8", "", "52.0 ± 2.8", "50.0"),
        ("full", "50.0 ± 0.0", "+8.0", "", "25.0"),
    ]
    header, first, second = as_csv(rows, "mean_dice").splitlines()
    assert header == "method,mean_dice,spread,difference,with CRF,its spread,run 1,run 2,dice a"
    assert first.split(",")[4:6] == ["0.520000", "0.028284"] and second.split(",")[4] == ""


def test_values_are_read_as_options_are():
    assert parse_variations(
        [
            "loss.sigma-xy+loss.radius=3:3,6.5:5",
            "loss=none,DenseCRFLoss",
            "--segmenter.filters=8/16,12",
            "loss.gate_source+loss.gate_destination=yes:no",
            "data.split=none",
        ]
    ) == {
        "loss.sigma_xy+loss.radius": [(3, 3), (6.5, 5)],
        "loss": [None, "DenseCRFLoss"],
        "segmenter.filters": [[8, 16], 12],
        "loss.gate_source+loss.gate_destination": [(True, False)],
        "data.split": [None],
    }


def test_lists_and_none_show_as_they_are_typed():
    rows = [SweepRow({"loss": None, "segmenter.filters": [4, 8], "flip": True}, (0.4,), {})]
    _, (_, lines) = table_of(rows, "mean_iou")
    assert lines == [("none", "4/8", "yes", "40.0", "")]
    assert as_csv(rows, "mean_iou").splitlines()[1].startswith("none,4/8,yes,")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--vary", "lambda=1"], "A training has no argument of that name, but data, "),
        (
            ["--vary", "loss.lambda=1"],
            "PartialCrossEntropy + GatedCRFLoss has no argument of that name, but ",
        ),
        (["--vary", "loss.radius"], "--vary must be NAME=V,V,... Received: 'loss.radius'"),
        (["--vary", "loss.radius="], "--vary must be NAME=V,V,... Received: 'loss.radius='"),
        (["--vary", "loss.radius=3,x"], "`radius` must be an integer of at least 1. Received: radius='x'"),
        (["--vary", "loss.radius=3,0"], "`radius` must be an integer of at least 1. Received: radius=0"),
        (["--vary", "loss=none,CRFLoss"], "loss must be one of ADMLoss, "),
        (["--vary", "loss.radius=3", "--vary", "loss.radius=5"], "--vary must name an option once."),
        (
            ["--vary", "loss.sigma_xy+loss.radius=3:3:3"],
            "loss.sigma_xy+loss.radius needs 2 values joined by a colon at a time.",
        ),
        (["--vary", "seed=1,2"], "--vary must leave the seed to --seeds and --seed. Received: seed"),
        (["--vary", "data.root=a,b"], "--vary must leave data.root to DATA. Received: data.root"),
        (["--vary", "loss.radius=3", "--seeds", "0"], "--seeds must be at least 1. Received: 0"),
        (["--vary", "loss.radius=3", "--score", "iou"], "argument --score: invalid choice: 'iou'"),
        (["--vary", "validation=none"], "A sweep needs images to score on. Received: validation=None"),
        (["--vary", "data.annotation=scribbles,clicks"], "'{folder}' must have a folder 'clicks'"),
    ],
)
def test_wrong_sweeps_are_told_before_training(fails, folder, tmp_path, options, text):
    assert fails("sweep", folder, "--out", tmp_path / "sweep", *options).startswith(
        text.format(folder=folder)
    )
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_needs_something_to_score_on(fails, make_folder, tmp_path):
    data = make_folder(tmp_path / "data", lists=False)
    assert "val.txt'" in fails("sweep", data, "--out", tmp_path / "sweep", "--vary", "loss.radius=3")


def test_ctrl_c_says_that_the_same_command_goes_on(folder, tmp_path, tiny, monkeypatch, capsys):
    from keras_wsseg.training import sweeper

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeper, "train", interrupt)
    assert main(["sweep", str(folder), "--out", str(tmp_path), *tiny, "--vary", "loss.radius=3"]) == 130
    assert capsys.readouterr().err == "\nkeras-wsseg: interrupted; the same command goes on from here\n"
