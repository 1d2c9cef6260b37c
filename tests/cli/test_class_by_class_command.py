import pytest

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
    "--filters 4,8 --crop 16 --batch-size 2 --annealing-epochs 1 --normal-epochs 1 --negative-epochs 1 "
    "--image-every 0 --final steps=2 --final filters=4,8 --final crop=16 --final image_every=0"
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
    assert fails("class-by-class", pets, "--out", out, "--resume", "--crop", 32).endswith(
        "was begun with other values of crop."
    )
    other = tmp_path / "other"
    (other / "positives").mkdir(parents=True)
    assert fails("class-by-class", other, "--out", out, "--resume").endswith(
        "was begun with other values of data."
    )
    capsys.readouterr()
    again = ["--resume", "--crop", "16", "--final", "crop=16"]
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
    assert (config.steps, config.filters, config.method) == (2, (4, 8), "pce")


def interrupt(*_):
    raise KeyboardInterrupt


def test_settings_of_the_segmenter():
    assert parse_final(["steps=5", "--method=dense-crf", "filters=1,2", "weights=none"]) == {
        "steps": 5,
        "method": "dense-crf",
        "filters": (1, 2),
        "weights": None,
    }
    for text, said in (
        ("steps", "--final must be NAME=VALUE. Received: 'steps'"),
        ("stepz=1", "--final must name an option of `keras-wsseg train`. Received: 'stepz'"),
        ("annotation=x", "--final cannot set annotation, which follows from DATA. Received: 'annotation=x'"),
    ):
        with pytest.raises(ValueError) as raised:
            parse_final([text])
        assert str(raised.value) == said


def test_wrong_folders_end_in_one_line(folder, tmp_path, fails):
    assert fails("class-by-class", tmp_path / "none", "--out", tmp_path / "run") == (
        f"DATA must be a folder with positives/<class>/. Received: '{tmp_path / 'none'}'"
    )
    assert "positives" in fails("class-by-class", folder, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
