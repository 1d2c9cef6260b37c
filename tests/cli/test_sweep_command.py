import csv

import pytest

from keras_wsseg.cli.main import main
from keras_wsseg.cli.sweep_command import as_csv, as_markdown, parse_variations, table_of
from keras_wsseg.training import RunFolder, SweepRow

pytestmark = pytest.mark.usefixtures("eagerly")


def test_a_sweep_writes_its_table_and_goes_on_from_there(folder, tmp_path, tiny, capsys):
    out = tmp_path / "sweep"
    command = ["sweep", str(folder), "--out", str(out), *tiny, "--image-every", "0", "--method", "pce"]
    assert main([*command, "--vary", "learning_rate=0.01"]) == 0
    said = capsys.readouterr().out
    assert "[1/1] learning_rate=0.01, seed=0: " in said and "(found)" not in said
    assert main([*command, "--vary", "learning_rate=0.01,0.001"]) == 0
    said = capsys.readouterr().out
    assert said.count("(found)") == 1 and "[2/2] learning_rate=0.001, seed=0: " in said
    assert "mean IoU in points of 100" in said
    first, second = (
        RunFolder(out / f"learning_rate={rate},seed=0").read_scores()["mean_iou"]
        for rate in ("0.01", "0.001")
    )
    with open(out / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["learning_rate"] for row in rows] == ["0.01", "0.001"]
    assert [float(row["mean_iou"]) for row in rows] == pytest.approx([first, second], abs=1e-6)
    assert [float(row["run 1"]) for row in rows] == pytest.approx([first, second], abs=1e-6)
    assert float(rows[1]["difference"]) == pytest.approx(second - first, abs=2e-6)
    lines = (out / "table.md").read_text().splitlines()
    assert lines[0] == "| learning_rate | mean IoU | difference | background | ellipse |"
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


def test_values_take_the_types_of_their_settings():
    assert parse_variations(
        [
            "sigma-xy+radius=3:3,6:5",
            "method=pce,full",
            "filters=8/16,12",
            "gate_source+gate_destination=yes:no",
            "val_split=none",
        ]
    ) == {
        "sigma_xy+radius": [(3.0, 3), (6.0, 5)],
        "method": ["pce", "full"],
        "filters": [(8, 16), (12,)],
        "gate_source+gate_destination": [(True, False)],
        "val_split": [None],
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--vary", "lambda=1"], "--vary must name an option of `keras-wsseg train`. Received: 'lambda'"),
        (["--vary", "radius"], "--vary must be NAME=V,V,... Received: 'radius'"),
        (["--vary", "radius="], "--vary must be NAME=V,V,... Received: 'radius='"),
        (["--vary", "radius=3,x"], "--radius must be an integer. Received: 'x'"),
        (["--vary", "radius=3,0"], "radius must be at least 1. Received: radius=0"),
        (["--vary", "radius=3", "--vary", "radius=5"], "--vary must name an option once."),
        (["--vary", "sigma_xy+radius=3:3:3"], "sigma_xy+radius needs 2 values joined by a colon at a time."),
        (["--vary", "seed=1,2"], "--vary must leave the seed to --seeds and --seed. Received: seed"),
        (["--vary", "radius=3", "--seeds", "0"], "--seeds must be at least 1. Received: 0"),
        (["--vary", "radius=3", "--score", "iou"], "argument --score: invalid choice: 'iou'"),
        (["--vary", "val_split=none"], "A sweep needs images to score on. Received: val_split=None"),
        (["--vary", "annotation=scribbles,clicks"], ""),
    ],
)
def test_wrong_sweeps_are_told_before_training(fails, folder, tmp_path, options, text):
    assert fails("sweep", folder, "--out", tmp_path / "sweep", *options).startswith(text)
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_needs_something_to_score_on(fails, make_folder, tmp_path):
    data = make_folder(tmp_path / "data", lists=False)
    assert "val.txt'" in fails("sweep", data, "--out", tmp_path / "sweep", "--vary", "radius=3")


def test_ctrl_c_says_that_the_same_command_goes_on(folder, tmp_path, tiny, monkeypatch, capsys):
    from keras_wsseg.training import sweeper

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeper, "train", interrupt)
    assert main(["sweep", str(folder), "--out", str(tmp_path), *tiny, "--vary", "radius=3"]) == 130
    assert capsys.readouterr().err == "\nkeras-wsseg: interrupted; the same command goes on from here\n"
