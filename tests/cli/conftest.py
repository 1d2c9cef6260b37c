"""A small data folder, a run folder trained on it through the command line, and its export."""

import pytest

from keras_wsseg.annotations import simulate_scribbles, write_label_map
from keras_wsseg.cli.main import main
from keras_wsseg.data import synthetic_shapes
from keras_wsseg.visualization import write_png

TINY = (
    "--steps 4 --segmenter.filters 4,8 --batch_size 2 --image_size 32 --steps_per_epoch 2 "
    "--warm_up.delay_steps 1 --warm_up.ramp_steps 1 --images_every 1"
).split()


@pytest.fixture(scope="session")
def tiny():
    """Options that train in seconds."""
    return TINY


@pytest.fixture(scope="session")
def make_folder():
    """Writes a data folder of six images, the last two of them to score on."""

    def make(root, lists=True):
        images, labels, class_names = synthetic_shapes(6, size=32, num_classes=2)
        for folder in ("images", "scribbles", "labels"):
            (root / folder).mkdir(parents=True)
        for index in range(6):
            write_png(root / "images" / f"p{index}.png", images[index])
            write_label_map(root / "labels" / f"p{index}.png", labels[index])
            write_label_map(root / "scribbles" / f"p{index}.png", simulate_scribbles(labels[index]))
        if lists:
            (root / "train.txt").write_text("p0\np1\np2\np3\n")
            (root / "val.txt").write_text("p4\np5\n")
        (root / "classes.txt").write_text("\n".join(class_names))
        return root

    return make


@pytest.fixture(scope="session")
def folder(tmp_path_factory, make_folder):
    return make_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def trained(folder, tmp_path_factory):
    """A finished run folder."""
    out = tmp_path_factory.mktemp("runs") / "first"
    assert main(["train", str(folder), "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture(scope="session")
def exported(trained):
    """The ONNX file of the run folder."""
    path = trained.parent / "first.onnx"
    assert main(["export", str(trained), str(path)]) == 0
    return path


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail, and returns the one line it says."""

    def run(*argv, status=2):
        capsys.readouterr()
        try:
            left = main([str(word) for word in argv])
        except SystemExit as stop:
            left = stop.code
        # Which provider runs an exported segmenter is told before anything can go wrong with it.
        lines = capsys.readouterr().err.splitlines(keepends=True)
        said = "".join(line for line in lines if ".onnx runs on " not in line)
        assert left == status, said
        assert said.startswith("keras-wsseg: ") and said.count("\n") == 1 and said.endswith("\n"), said
        return said.strip().removeprefix("keras-wsseg: error: ")

    return run
