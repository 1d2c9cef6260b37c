"""Six small images as a data folder, and settings that train on them in seconds."""

import pytest

from keras_wsseg.annotations import simulate_scribbles, write_label_map
from keras_wsseg.data import synthetic_shapes
from keras_wsseg.training import TrainingConfig
from keras_wsseg.visualization import write_png


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    images, labels, class_names = synthetic_shapes(6, size=32, num_classes=2)
    for folder in ("images", "scribbles", "labels"):
        (root / folder).mkdir()
    for index in range(6):
        write_png(root / "images" / f"p{index}.png", images[index])
        write_label_map(root / "labels" / f"p{index}.png", labels[index])
        write_label_map(root / "scribbles" / f"p{index}.png", simulate_scribbles(labels[index]))
    (root / "train.txt").write_text("p0\np1\np2\np3\n")
    (root / "val.txt").write_text("p4\np5\n")
    (root / "classes.txt").write_text("\n".join(class_names))
    return root


@pytest.fixture(scope="session")
def small_config(small_folder):
    changes = {
        "segmenter.filters": (4, 8),
        "steps": 6,
        "batch_size": 2,
        "image_size": 32,
        "steps_per_epoch": 2,
        "warm_up.delay_steps": 2,
        "warm_up.ramp_steps": 2,
        "images_every": 1,
    }
    return TrainingConfig.from_recipe("scribbles", small_folder, changes)
