import sys

from keras_wsseg.cli import console


def test_own_command_is_what_the_shell_would_find(monkeypatch):
    monkeypatch.setattr(console.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert console.own_command() == "keras-wsseg"
    monkeypatch.setattr(console.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/keras-wsseg", "demo"])
    assert console.own_command() == ".venv/bin/keras-wsseg"
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert console.own_command() == "python -m keras_wsseg.cli"


SCORES = {
    "mean_iou": 0.5,
    "mean_dice": 0.6,
    "iou": {"ground": 0.4, "horse": 0.6, "car": None},
    "dice": {"ground": 0.7, "horse": 0.6, "car": None},
    "images": 2,
    "groups": 1,
    "f_beta": {"ground": 0.81, "horse": 0.72, "car": None},
    "refined": None,
}


def rows_of(said):
    """Cells of the table's rows by their first one."""
    lines = [line.strip("│┃").replace("┃", "│").split("│") for line in said.splitlines() if "│" in line]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in lines}


def test_scores_show_the_f_measure_of_each_class(capsys):
    console.print_scores(SCORES)
    said = capsys.readouterr().out
    rows = rows_of(said)
    assert "F0.3" in said
    assert rows["ground"] == ["40.0", "70.0", "81.0"]
    assert rows["horse"] == ["60.0", "60.0", "72.0"]
    assert rows["car"] == ["-", "-", "-"]


def test_scores_from_before_there_was_an_f_measure_still_print(capsys):
    old = {key: value for key, value in SCORES.items() if key != "f_beta"}
    console.print_scores({**old, "refined": old})
    rows = rows_of(capsys.readouterr().out)
    assert rows["horse"] == ["60.0", "60.0", "-"]
    assert rows["mean"][:2] == ["50.0", "60.0"]
