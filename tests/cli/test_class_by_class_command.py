import pytest

from keras_wsseg.cli import console
from keras_wsseg.cli.class_by_class_command import parse_final
from keras_wsseg.cli.main import main
from keras_wsseg.training import ClassByClassFolder, class_by_class

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def pets(folder, tmp_path):
    """Two images of each of two classes, and two to score on."""
    root = tmp_path / "pets"
    for index, name in enumerate(("cat", "cat", "dog", "dog")):
        place = root / "positives" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"p{index}.png").write_bytes((folder / "images" / f"p{index}.png").read_bytes())
    for kind in ("images", "labels"):
        (root / kind).mkdir()
        for index in (4, 5):
            (root / kind / f"p{index}.png").write_bytes((folder / kind / f"p{index}.png").read_bytes())
    (root / "val.txt").write_text("p4\np5\n")
    return root


TINY = (
    "--segmenter.filters 4,8 --image_size 16 --batch_size 2 --stages.annealing_epochs 1 "
    "--stages.normal_epochs 1 --negative_epochs 1 --images_every 0 --final steps=2 "
    "--final segmenter.filters=4,8 --final image_size=16 --final images_every=0"
).split()


def test_one_command_from_folders_to_scores(pets, tmp_path, capsys, monkeypatch, fails):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(class_by_class, "_write_dataset", interrupt)
        assert main(["class-by-class", str(pets), "--out", str(out), *TINY]) == 130
    said = capsys.readouterr()
    assert said.err.endswith(
        f"interrupted; go on with: keras-wsseg class-by-class {pets} --out {out} --resume\n"
    )
    assert fails("class-by-class", pets, "--out", out, *TINY).startswith("There is a training in")
    assert fails("class-by-class", pets, "--out", out, "--resume", "--image_size", 32).endswith(
        "was begun with other values of image_size."
    )
    other = tmp_path / "other"
    (other / "positives").mkdir(parents=True)
    assert fails("class-by-class", other, "--out", out, "--resume").endswith(
        "was begun with other values of data.root."
    )
    capsys.readouterr()
    again = ["--resume", "--image_size", "16", "--final", "image_size=16"]
    assert main(["class-by-class", str(pets), "--out", str(out), *again]) == 0
    said = capsys.readouterr().out
    assert "Net 1 of 2: cat (there already)" in said and "Segmenter of 2 classes" in said
    assert "IoU" in said and "dog" in said
    run = ClassByClassFolder(out)
    assert f"Segmenter: {run.segmenter.segmenter}" in said
    assert sorted(path.name for path in (run.dataset / "pseudo").iterdir()) == [
        f"p{index}.png" for index in range(4)
    ]
    config = run.read()[1]
    assert (config.steps, config.terms) == (2, ["PartialCrossEntropy"])
    assert config.segmenter["config"]["filters"] == [4, 8]


def interrupt(*_):
    raise KeyboardInterrupt


def test_ctrl_c_before_anything_is_written(pets, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(console, "load_keras", interrupt)
    assert main(["class-by-class", str(pets), "--out", str(tmp_path / "run"), *TINY]) == 130
    said = "\nkeras-wsseg: interrupted; nothing was written yet, so type the same command again\n"
    assert capsys.readouterr().err == said and not (tmp_path / "run").exists()


def test_settings_of_the_segmenter():
    words = [
        "steps=5",
        "--loss=DenseCRFLoss",
        "segmenter.filters=1,2",
        "segmenter.weights=none",
        "data.values=0=a,1=b",
    ]
    assert parse_final(words) == {
        "steps": 5,
        "loss": "DenseCRFLoss",
        "segmenter.filters": [1, 2],
        "segmenter.weights": None,
        "data.values": {"0": "a", "1": "b"},
    }
    with pytest.raises(ValueError, match="--final must be NAME=VALUE. Received: 'steps'"):
        parse_final(["steps"])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--final", "stepz=1"], "A training has no argument of that name, but steps. Received: stepz"),
        (
            ["--final", "data.annotation=x"],
            "data.annotation follows from DATA here, and cannot be set. Received: x",
        ),
        (
            ["--final", "validation=none"],
            "validation follows from DATA here, and cannot be set. Received: none",
        ),
        (["--final", "data.root=x"], "data.root follows from DATA here, and cannot be set."),
        (["--data.positives", "x"], "data.positives follows from DATA here, and cannot be set."),
        (["--data.root", "x"], "data.root is the folder DATA, and no option. Received: 'x'"),
        (
            ["--recipe", "scribbles"],
            "nets must have a SingleClassLoss. Received: PartialCrossEntropy, GatedCRFLoss",
        ),
        (["--final", "data.values=0=a"], "final cannot have data.values"),
    ],
)
def test_wrong_settings_end_in_one_line(pets, tmp_path, fails, words, text):
    assert fails("class-by-class", pets, "--out", tmp_path / "run", *words).startswith(text)
    assert not (tmp_path / "run").exists()


def test_what_is_wrong_with_the_last_training_is_told_before_the_first(pets, tmp_path, fails):
    (pets / "val.txt").unlink()
    words = ["--final", "loss.radius=0", "--final", "loss=GatedCRFLoss"]
    text = "`radius` must be an integer of at least 1. Received: radius=0"
    assert fails("class-by-class", pets, "--out", tmp_path / "run", *words) == text
    assert not (tmp_path / "run").exists()


def test_wrong_folders_end_in_one_line(folder, tmp_path, fails):
    assert fails("class-by-class", tmp_path / "none", "--out", tmp_path / "run") == (
        f"DATA must be a folder with positives/<class>/. Received: '{tmp_path / 'none'}'"
    )
    assert "positives" in fails("class-by-class", folder, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
