import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.cli.main import main
from keras_wsseg.cli.segmenters import load_keras_model
from keras_wsseg.imaging import read_image
from keras_wsseg.training.build import build_terms
from keras_wsseg.training.config import TrainingConfig
from keras_wsseg.training.parts import LOSSES
from keras_wsseg.visualization import class_palette, gradient_sheet


def gradient(*argv):
    return main(["gradient", *map(str, argv)])


def pixels(path):
    return np.asarray(Image.open(path))


def test_the_loss_is_that_of_the_run(trained, folder, tmp_path, capsys):
    assert gradient(trained, folder / "images" / "p[01].png", "--out", tmp_path / "g") == 0
    assert capsys.readouterr().out.endswith(f"2 of 2 sheets in {tmp_path / 'g'}\n")
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == ["p0.png", "p1.png"]
    model, names, config = load_keras_model(trained)
    image = read_image(folder / "images" / "p0.png", "rgb")
    expected = gradient_sheet(
        build_terms(config)[-1],
        image,
        None,
        model.predict_on_batch(image[None].astype("float32"))[0],
        class_names=names,
        palette=class_palette(2),
        from_logits=True,
        caption="p0, gated_crf",
    )
    np.testing.assert_array_equal(pixels(tmp_path / "g" / "p0.png"), expected)


def test_another_loss_comes_with_its_defaults(trained, exported, folder, tmp_path):
    image = folder / "images" / "p2.png"
    for method in ("GatedCRFLoss", "DenseCRFLoss"):
        for segmenter in (trained, exported):
            out = tmp_path / method / segmenter.name
            assert gradient(segmenter, image, "--loss", method, "--out", out) == 0
    assert (tmp_path / "DenseCRFLoss" / "first" / "p2.png").is_file()
    sheets = [
        pixels(tmp_path / method / "first.onnx" / "p2.png") for method in ("GatedCRFLoss", "DenseCRFLoss")
    ]
    assert sheets[0].shape != sheets[1].shape or (sheets[0] != sheets[1]).any()


def test_the_cross_entropy_reads_labels(fails, exported, folder, tmp_path):
    image, words = folder / "images" / "p0.png", ["--loss", "PartialCrossEntropy", "--classes", "0,1"]
    assert fails("gradient", exported, image, *words, "--out", tmp_path / "g").startswith(
        "--labels must be given where the loss is PartialCrossEntropy, which reads nothing else."
    )
    assert not (tmp_path / "g").exists()
    assert gradient(exported, image, *words, "--labels", folder / "scribbles", "--out", tmp_path / "a") == 0
    assert gradient(exported, image, *words, "--labels", folder / "labels", "--out", tmp_path / "b") == 0
    assert (pixels(tmp_path / "a" / "p0.png") != pixels(tmp_path / "b" / "p0.png")).any()


def test_masks_of_other_values_are_what_they_are_said_to_mean(trained, folder, tmp_path):
    """Black and white as the run's own settings tell, or the option does."""
    (tmp_path / "masks").mkdir()
    labels = np.asarray(Image.open(folder / "labels" / "p0.png"))
    Image.fromarray(np.where(labels == 1, 255, 0).astype("uint8")).save(tmp_path / "masks" / "p0.png")
    run = shutil.copytree(trained, tmp_path / "run")
    config = TrainingConfig.read(run / "config.json").replace({"data.values": {0: "background", 255: "1"}})
    (run / "config.json").write_text(config.to_json())
    words = [folder / "images" / "p0.png", "--loss", "PartialCrossEntropy", "--classes", "0,1", "--labels"]
    assert gradient(trained, *words, folder / "labels", "--out", tmp_path / "a") == 0
    assert gradient(run, *words, tmp_path / "masks", "--out", tmp_path / "b") == 0
    option = ["--values", "0=background,255=1"]
    assert gradient(trained, *words, tmp_path / "masks", *option, "--out", tmp_path / "c") == 0
    for name in ("b", "c"):
        np.testing.assert_array_equal(pixels(tmp_path / name / "p0.png"), pixels(tmp_path / "a" / "p0.png"))


def test_options_change_the_sheet(trained, folder, tmp_path):
    image = folder / "images" / "p0.png"
    words = {
        "plain": [],
        "show": ["--show", "change"],
        "percentile": ["--percentile", "50"],
        "limit": ["--limit", "1e9"],
        "classes": ["--classes", "1"],
    }
    sheets = {}
    for name, extra in words.items():
        extra = extra if name == "classes" else [*extra, "--classes", "0,1"]
        assert gradient(trained, image, *extra, "--out", tmp_path / name) == 0
        sheets[name] = pixels(tmp_path / name / "p0.png")
    assert sheets["classes"].shape[1] < sheets["plain"].shape[1]
    for name in ("show", "percentile", "limit"):
        same = sheets[name].shape == sheets["plain"].shape and (sheets[name] == sheets["plain"]).all()
        assert not same, name


def test_a_bad_image_stops_no_other(trained, folder, tmp_path, capsys):
    (tmp_path / "bad.png").write_text("no image")
    shutil.copy(folder / "images" / "p0.png", tmp_path / "stray.png")
    images = [tmp_path / "bad.png", tmp_path / "stray.png", folder / "images" / "p1.png"]
    words = ["--labels", folder / "scribbles", "--out", tmp_path / "g"]
    assert gradient(trained, *images, *words) == 1
    said = capsys.readouterr()
    assert said.out.endswith(f"1 of 3 sheets in {tmp_path / 'g'}\n")
    bad, stray = said.err.splitlines()
    assert bad.startswith(f"keras-wsseg: not painted: {tmp_path / 'bad.png'}: The image")
    assert "stray.png: `path` must name a label map" in stray


def test_label_maps_that_are_none_are_told(fails, trained, folder, tmp_path):
    labels = shutil.copytree(folder / "labels", tmp_path / "labels")
    (labels / "p0.png").rename(labels / "p0.jpg")
    words = ["gradient", trained, folder / "images" / "p0.png", "--labels", labels, "--out", tmp_path / "g"]
    assert fails(*words).endswith("since JPEG and WebP alter ids. Received: p0.jpg")
    shutil.copy(labels / "p1.png", labels / "p0.bmp")
    shutil.copy(labels / "p1.png", labels / "p0.png")
    assert fails(*words).endswith("must have one file of each name. Received: p0.bmp and p0.png")


def test_wrong_words_are_told(fails, trained, exported, folder, tmp_path):
    images, out = folder / "images", tmp_path / "g"
    assert fails("gradient", exported, images, "--out", out) == (
        "--loss must be given where the segmenter is no run folder's. Received: none"
    )
    assert fails("gradient", trained, images, "--out", images).startswith(
        "--out must be another folder than that of the images."
    )
    assert fails("gradient", trained, images, "--classes", "a", "--out", out) == (
        "--classes must be ids of classes, N,N,... Received: 'a'"
    )
    for option, value, told in (
        ("classes", 2, "from 0 to 1"),
        ("percentile", 200, "above 0 and of at most 100"),
    ):
        text = fails("gradient", trained, images, f"--{option}", value, "--out", out)
        assert text.startswith(f"`--{option}` must be ") and told in text
    assert fails("gradient", trained, images, "--labels", tmp_path / "no", "--out", out).startswith(
        "--labels must be a folder."
    )
    assert "invalid choice: 'x'" in fails("gradient", trained, images, "--loss", "x", "--out", out)
    assert not out.exists()


def test_a_training_of_the_first_version_has_a_segmenter_and_no_loss(fails, trained, folder, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    flat = {
        "method": "gated-crf",
        "tags": "tags.csv",
        "train_split": "train",
        "val_split": None,
        "values": [],
    }
    (run / "config.json").write_text(json.dumps(flat))
    image = folder / "images" / "p0.png"
    assert fails("gradient", run, image, "--out", tmp_path / "g").startswith("--loss must be given where ")
    assert gradient(run, image, "--loss", "GatedCRFLoss", "--out", tmp_path / "g") == 0


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"AdaptivePriorLoss"}))
def test_every_loss_has_a_gradient(exported, folder, tmp_path, name):
    image, labels = folder / "images" / "p3.png", folder / "scribbles"
    assert gradient(exported, image, "--loss", name, "--labels", labels, "--out", tmp_path) == 0
    assert (tmp_path / "p3.png").is_file()


def test_a_prior_alone_has_nothing_to_paint(fails, trained, folder, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    config = TrainingConfig.from_recipe("tags", folder, {"loss": None})
    (run / "config.json").write_text(config.to_json())
    for words in ([run], [trained, "--loss", "AdaptivePriorLoss"]):
        text = fails("gradient", words[0], folder / "images", *words[1:], "--out", tmp_path / "g")
        assert (
            text
            == "--loss must not be AdaptivePriorLoss, which reads tags of images. Received: AdaptivePriorLoss"
        )
    assert not (tmp_path / "g").exists()
