"""What version 0.1 wrote into its run folders."""

import json

import pytest

from keras_wsseg.training import RunFolder, TrainingConfig
from keras_wsseg.training.former_config import FormerConfig

# The whole of a config.json that 0.1 wrote, and what differs in two others.
GATED_CRF = """
{"data": "hearts", "annotation": "scribbles", "train_split": "train", "val_split": "val", "value_range":
[], "values": ["0=background", "255=cell"], "label_values": [], "click_size": 1, "stuff_classes": [],
"instances": null, "scribble_length": 1.0, "labelled_share": 1.0, "unlabelled_split": null,
"unlabelled_batch": null, "group_by": null, "positives": ["images"], "object_name": null, "negatives": [],
"tags": "tags.csv", "model": "unet", "filters": [4, 8], "backbone": "resnet34", "weights": null,
"encoder": "auto", "encoder_rate": 1.0, "output_stride": 1, "method": "gated-crf", "start_from": null,
"steps": 400, "batch_size": 8, "crop": 144, "whole": null, "scale_low": 0.8, "scale_high": 1.25, "flip":
true, "optimizer": "adam", "learning_rate": null, "decay": "auto", "weight_decay": 0.0, "class_weights":
"none", "seed": 0, "epoch_steps": null, "picture_every": 2, "score_crf": "none", "tensorboard": false,
"crf_weight": null, "sigma_xy": null, "sigma_rgb": null, "loss_scale": 0.5, "warm_up": null, "ramp": null,
"radius": 5, "normalization": "destination", "gate_source": true, "gate_destination": false,
"gate_padding": true, "dense_method": "auto", "landmarks": 256, "gamma": null, "cut_sigma_xy": null,
"cut_sigma_rgb": null, "adm_strength": 2.0, "adm_iterations": 5, "annealing_epochs": 15, "normal_epochs":
50, "negative_epochs": 200, "negative_batch": null, "first_sigma": 0.05, "annealing_weight": 1.0,
"volumetric_weight": 1.0, "positional_weight": 1.0, "negative_weight": 2.0, "object_share": 0.5,
"small_reduction": "sum", "border": 3, "center": 3, "reset_optimizer": false, "prior_background": 0.4,
"prior_object": 0.2, "neighborhood": "exponentiated", "sharpness": 1.0, "neighborhood_radius": null,
"reliable_share": 0.4, "background_gamma": 4.0, "cam_scales": [0.5, 1.0, 1.5, 2.0], "mining_crf": "dense",
"classification_weight": 1.0, "dilation": 12}
"""
SINGLE_CLASS = {
    "method": "single-class",
    "filters": [12, 24, 48, 96],
    "values": [],
    "negatives": ["others"],
    "val_split": None,
}
MINING = {
    "method": "rrm",
    "filters": [12, 24, 48, 96],
    "values": [],
    "tags": "known.csv",
    "train_split": "some",
}


def written(tmp_path, **changes):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(GATED_CRF), **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            FormerConfig(
                "gated-crf",
                {
                    "config": {
                        "tags": "tags.csv",
                        "split": "train",
                        "values": {0: "background", 255: "cell"},
                    }
                },
                {"config": {"split": "val"}},
            ),
        ),
        (
            SINGLE_CLASS,
            FormerConfig(
                "single-class", {"config": {"tags": "tags.csv", "split": "train", "values": None}}, None
            ),
        ),
        (
            MINING,
            FormerConfig(
                "rrm",
                {"config": {"tags": "known.csv", "split": "some", "values": None}},
                {"config": {"split": "val"}},
            ),
        ),
    ],
)
def test_what_other_commands_ask_is_read(tmp_path, changes, expected):
    assert TrainingConfig.read(written(tmp_path, **changes)) == expected


def test_such_a_training_can_be_finished_and_not_resumed(tmp_path):
    path = written(tmp_path)
    run = RunFolder(tmp_path)
    run.segmenter.touch()
    assert not run.finished
    run.scores.write_text("{}")
    assert run.finished
    with pytest.raises(ValueError) as raised:
        run.settings(None, resume=True)
    assert str(raised.value) == (
        "A training that version 0.1 began cannot be resumed, though its segmenter can be used. "
        f"Received: {str(path)!r}"
    )
    run.scores.unlink()
    written(tmp_path, **SINGLE_CLASS)
    assert run.finished


def test_such_a_file_is_no_recipe(tmp_path):
    with pytest.raises(
        ValueError, match="The recipe .*config.json. was written by version 0.1, whose options"
    ):
        TrainingConfig.from_recipe(written(tmp_path), "hearts")


@pytest.mark.parametrize("missing", ["method", "tags", "train_split", "val_split", "values"])
def test_other_files_are_told(tmp_path, missing):
    flat = json.loads(GATED_CRF)
    del flat[missing]
    (tmp_path / "config.json").write_text(json.dumps(flat))
    with pytest.raises(ValueError, match="is no configuration of a training: .*" + missing):
        TrainingConfig.read(tmp_path / "config.json")
