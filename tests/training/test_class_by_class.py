import logging
import pathlib
import shutil

import numpy as np
import pytest

from keras_wsseg.annotations import read_label_map, write_label_map
from keras_wsseg.callbacks import CollapseWarning
from keras_wsseg.data import SingleClassFolder, synthetic_shapes
from keras_wsseg.training import ClassByClassFolder, TrainingConfig, class_by_class, train_class_by_class
from keras_wsseg.visualization import write_png

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def sorted_images(tmp_path_factory):
    """Images of two classes, one of both, one of neither, and two to score on."""
    root = tmp_path_factory.mktemp("sorted") / "pets"
    images, labels, _ = synthetic_shapes(8, size=32, num_classes=3)
    places = ["cat", "cat", "cat dog", "dog", "dog", "", "val", "val"]
    for index, place in enumerate(places):
        for name in place.split() or ["none"]:
            folder = {"val": root / "images", "none": root / "negatives"}.get(name, root / "positives" / name)
            folder.mkdir(parents=True, exist_ok=True)
            write_png(folder / f"p{index}.png", images[index])
    (root / "labels").mkdir()
    for index in (6, 7):
        write_label_map(root / "labels" / f"p{index}.png", labels[index])
    (root / "val.txt").write_text("p6\np7\n")
    return root


@pytest.fixture(scope="module")
def configs(sorted_images):
    common = {"segmenter.filters": (4, 8), "image_size": 16, "batch_size": 2}
    epochs = {"stages.annealing_epochs": 1, "stages.normal_epochs": 1, "negative_epochs": 1}
    nets = {**common, **epochs, "images_every": 0, "validation": None}
    return (
        TrainingConfig.from_recipe("single-class", sorted_images, nets),
        TrainingConfig.from_recipe("scribbles", sorted_images, {**common, "loss": None, "steps": 2}),
    )


def test_from_folders_to_a_segmenter_after_interruptions(configs, tmp_path, monkeypatch):
    run, said = ClassByClassFolder(tmp_path / "run"), []
    real, calls = class_by_class.train, []

    def train(config, folder, *arguments, **options):
        calls.append(folder.name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        if len(calls) == 2:
            with monkeypatch.context() as patch:
                patch.setattr(CollapseWarning, "on_epoch_end", interrupt)
                return real(config, folder, *arguments, **options)
        return real(config, folder, *arguments, **options)

    monkeypatch.setattr(class_by_class, "train", train)
    with pytest.raises(KeyboardInterrupt):
        train_class_by_class(*configs, run.path, verbose=0)
    assert run.net("cat").finished and not run.net("dog").finished
    # In the middle of a net's training, whose first epoch is done.
    assert run.net("dog").config.is_file() and run.net("dog").completed_epochs() == 1
    with pytest.raises(FileExistsError, match="There is a training in .* already"):
        train_class_by_class(*configs, run.path, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        train_class_by_class(None, None, run.path, resume=True, verbose=0)
    first = run.net("cat").segmenter.stat().st_mtime_ns
    final = train_class_by_class(*configs, run.path, resume=True, verbose=0, on_stage=said.append)

    assert said == [
        "Net 1 of 2: cat (there already)",
        "Net 2 of 2: dog (there already)",
        "Labels out of the nets' masks",
        "Segmenter of 2 classes",
    ]
    assert run.net("cat").segmenter.stat().st_mtime_ns == first
    assert final.finished and final.read_scores()["images"] == 2
    assert list(final.read_scores()["iou"]) == ["background", "cat", "dog"]
    # The image of both classes teaches the nets and gets no label.
    assert (run.dataset / "train.txt").read_text().split() == ["p0", "p1", "p3", "p4"]
    assert sorted(path.name for path in (run.dataset / "images").iterdir()) == [
        f"p{index}.png" for index in (0, 1, 3, 4, 6, 7)
    ]
    for index, object_class in ((0, 1), (1, 1), (3, 2), (4, 2)):
        assert set(read_label_map(run.dataset / "pseudo" / f"p{index}.png").ravel()) <= {0, object_class}
    config = TrainingConfig.read(run.net("cat").config)
    data = config.data["config"]
    assert (data["positives"], data["negatives"]) == (["positives/cat"], ["positives/dog", "negatives"])
    assert (data["object_name"], data["split"], config.validation) == ("cat", None, None)
    assert final.settings(None, resume=True).data["config"]["annotation"] == "pseudo"


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_images_behind_relative_links_and_masks_that_say_nothing(configs, tmp_path, monkeypatch, caplog):
    nets, final = configs
    root = tmp_path / "linked"
    for name in ("cat", "dog"):
        (root / "positives" / name).mkdir(parents=True)
        for path in (pathlib.Path(nets.root) / "positives" / name).iterdir():
            (root / "all").mkdir(exist_ok=True)
            shutil.copy(path, root / "all" / path.name)
            (root / "positives" / name / path.name).symlink_to(f"../../all/{path.name}")
    monkeypatch.setattr(class_by_class, "class_map", lambda net, image: np.zeros(image.shape[:2], int))
    nets = nets.replace({"data.root": str(root), "negative_epochs": 0})
    with caplog.at_level(logging.WARNING, "keras_wsseg"):
        final = train_class_by_class(nets, final, tmp_path / "run", verbose=0)
    assert final.finished
    said = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert [line.split(":")[0] for line in said] == [
        f"0.0 % of the pixels in the masks of {name!r} are the object" for name in ("cat", "dog")
    ]


def test_what_the_last_training_lacks_is_told_before_the_first(configs, tmp_path):
    nets, final = configs
    with pytest.raises(FileNotFoundError, match="`weights` must be the path of an existing file"):
        missing = final.replace({"segmenter": "DeepLabV3Plus", "segmenter.weights": "missing.npz"})
        train_class_by_class(nets, missing, tmp_path / "run")
    with pytest.raises(ValueError, match="group_by must match the name of every image"):
        train_class_by_class(nets, final.replace({"group_by": "(x)"}), tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="There must be a run folder or file of that name"):
        train_class_by_class(nets, final.replace({"start_from": "missing"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_to_score_on_are_looked_at_before_the_first_training(configs, tmp_path):
    """What is said of values and ranges reaches the segmenter, of which the nets would know for hours."""
    nets, final = configs
    root = shutil.copytree(nets.root, tmp_path / "pets")
    nets = nets.replace({"data.root": str(root)})
    for path in (root / "labels").iterdir():
        write_label_map(path, np.where(read_label_map(path) == 1, 9, 0).astype("uint8"))
    with pytest.raises(ValueError, match="must hold class ids 0 to 2, 254 or 255. Received: 9"):
        train_class_by_class(nets, final, tmp_path / "run")
    with pytest.raises(ValueError, match="final cannot have data.values"):
        train_class_by_class(nets, final.replace({"data.values": {0: "background"}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_segmenter_has_the_range_and_the_meaning_that_were_given(configs, tmp_path, monkeypatch):
    nets, final = configs
    begun = []

    def train(config, folder, *arguments, **options):
        begun.append(config)

    monkeypatch.setattr(class_by_class, "train", train)
    monkeypatch.setattr(class_by_class, "_write_dataset", lambda *arguments: None)
    values = {"0": "background", "1": "cat", "2": "dog"}
    final = final.replace({"validation.values": values})
    train_class_by_class(nets.replace({"data.value_range": (0.0, 300.0)}), final, tmp_path / "run")
    assert [config.data["config"]["value_range"] for config in begun] == [[0.0, 300.0]] * 3
    assert begun[-1].validation["config"]["values"] == values and begun[-1].data["config"]["values"] is None


def test_settings_that_do_not_fit(configs, tmp_path, sorted_images):
    nets, final = configs
    with pytest.raises(ValueError, match="nets must have a SingleClassLoss. Received: PartialCrossEntropy"):
        train_class_by_class(final, final, tmp_path / "a")
    with pytest.raises(ValueError, match="final must learn from weak labels, .*, annotation='labels'"):
        train_class_by_class(nets, final.replace({"data.annotation": "labels"}), tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="There is no training to resume in"):
        train_class_by_class(nets, final, tmp_path / "a", resume=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").touch()
    with pytest.raises(FileExistsError, match="holds other things"):
        train_class_by_class(nets, final, tmp_path / "b")
    ClassByClassFolder(tmp_path / "c").begin(nets, final)
    with pytest.raises(ValueError, match="was begun with other values of seed."):
        train_class_by_class(nets.replace({"seed": 3}), final, tmp_path / "c", resume=True)


def test_names_that_are_scored_and_trained_on(configs, tmp_path, sorted_images):
    (sorted_images / "val.txt").write_text("p0\n")
    for folder in ("images", "labels"):
        source = next((sorted_images / folder).iterdir())
        (sorted_images / folder / "p0.png").write_bytes(source.read_bytes())
    with pytest.raises(ValueError, match="Images of val.txt must have other names .* Received: 'p0'"):
        train_class_by_class(*configs, tmp_path / "run")
    (sorted_images / "val.txt").write_text("p9\n")
    with pytest.raises(FileNotFoundError, match="must have images/p9 and labels/p9, see val.txt"):
        train_class_by_class(*configs, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_no_training_would_read_are_told_before_the_first(configs, tmp_path, sorted_images):
    nets, final = configs
    root = shutil.copytree(sorted_images, tmp_path / "pets")
    (root / "val.txt").write_text("p6\np7\n")
    (root / "labels" / "p7.png").rename(root / "labels" / "p7.jpg")
    with pytest.raises(ValueError, match="since JPEG and WebP alter ids. Received: p7.jpg"):
        train_class_by_class(nets.replace({"data.root": str(root)}), final, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folders_of_classes_are_found_in_either_form_of_their_letters(configs, tmp_path, monkeypatch):
    nets, final = configs
    root = tmp_path / "pets"
    for source, name in (("cat", "Ba\u0308r"), ("dog", "dog")):
        shutil.copytree(pathlib.Path(nets.root) / "positives" / source, root / "positives" / name)
    opened = []

    def train(config, folder, *arguments, **options):
        opened.append(SingleClassFolder(**config.data["config"]).names)
        if len(opened) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(class_by_class, "train", train)
    with pytest.raises(KeyboardInterrupt):
        train_class_by_class(nets.replace({"data.root": str(root)}), final, tmp_path / "run")
    assert opened == [("p0", "p1", "p2"), ("p2", "p3", "p4")]
