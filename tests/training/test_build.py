import shutil

import keras
import numpy as np
import pytest

from keras_wsseg import kernels, losses
from keras_wsseg.annotations import PADDING, read_label_map, write_label_map
from keras_wsseg.optimizers import LearningRateMultipliers
from keras_wsseg.training import TrainingConfig
from keras_wsseg.training.build import (
    build_loss,
    build_model,
    build_optimizer,
    build_terms,
    build_training_data,
    build_validation_data,
    start_from,
)
from keras_wsseg.training.parts import LOSSES


def drawn(data):
    return sum((data.load(index)[1] < PADDING).sum() for index in range(len(data)))


def single_class(folder, **changes):
    return TrainingConfig.from_recipe("single-class", folder, {"segmenter.filters": (4, 8), **changes})


def segmenter_of(config, data, started=True):
    return build_model(config, data, started)[1]


OF_SEGMENTATIONS = [name for name in LOSSES if name not in ("AdaptivePriorLoss", "SingleClassLoss")]


@pytest.mark.parametrize("name", OF_SEGMENTATIONS)
def test_every_loss_is_that_of_its_class(small_config, name):
    kind = getattr(losses, name)
    loss = build_terms(small_config.replace({"loss": name}))[-1]
    assert type(loss) is kind and loss.get_config() == kind().get_config()
    loss = build_terms(small_config.replace({"loss": name, "loss.weight": 0.7}))[-1]
    assert loss.get_config() == kind(weight=0.7).get_config() and loss.weight == 0.7


def test_arguments_of_a_loss_reach_it(small_config):
    changes = {"sigma_xy": 9.0, "sigma_rgb": 0.2, "cut_sigma_xy": 4.0, "cut_sigma_rgb": 0.3, "landmarks": 33}
    changes |= {"cut_weight": 0.4, "filter_method": "nystrom", "resolution": 0.25, "seed": 3}
    config = small_config.replace(
        {"loss": "KernelCutLoss", **{f"loss.{name}": value for name, value in changes.items()}}
    )
    assert build_terms(config)[-1].get_config() == losses.KernelCutLoss(**changes).get_config()


def test_kernels_and_matrices_reach_the_gated_crf(small_config):
    two = [
        {"class_name": "GaussianKernel", "weight": 2.0, "sigma_xy": 3.0},
        {"class_name": "GaussianKernel", "sigma_xy": 6.0},
    ]
    config = small_config.replace({"loss.kernels": two, "loss.compatibility": ((0, 1), (2, 0))})
    expected = losses.GatedCRFLoss(
        kernels=[kernels.GaussianKernel(2.0, sigma_xy=3.0), kernels.GaussianKernel(sigma_xy=6.0)],
        compatibility=((0, 1), (2, 0)),
    )
    assert build_terms(config)[1].get_config() == expected.get_config()


def test_the_late_terms_warm_up(small_config):
    total, (warm_up,) = build_loss(small_config)
    assert (warm_up.delay_steps, warm_up.ramp_steps) == (2, 2)
    assert warm_up.loss is total.terms[1] and type(warm_up.loss) is losses.GatedCRFLoss
    three = small_config.replace({"loss": ["PartialCrossEntropy", "GatedCRFLoss", "DenseCRFLoss"]})
    total, schedule = build_loss(three)
    assert [one.loss for one in schedule] == total.terms[1:]
    assert build_loss(small_config.replace({"warm_up": None}))[1] == []
    for loss in (None, "PartialCrossEntropy", "BalancedCrossEntropy"):
        alone, schedule = build_loss(small_config.replace({"loss": loss}))
        assert schedule == [] and not isinstance(alone, losses.LossSum)


def test_single_class_has_its_loss_and_stages():
    loss, (stages,) = build_loss(single_class("hearts"))
    assert loss.get_config() == losses.SingleClassLoss().get_config()
    assert (stages.annealing_epochs, stages.negative_epoch, stages.loss) == (15, 65, loss)
    changed = single_class(
        "hearts",
        **{
            "loss.crf_weight": 7.0,
            "loss.sigma_rgb": 0.2,
            "loss.volumetric_weight": 2.0,
            "loss.positional_weight": 3.0,
            "loss.negative_weight": 4.0,
            "loss.target_fraction": 0.3,
            "loss.small_reduction": "mean",
            "loss.border": 2,
            "loss.center": 5,
            "stages.annealing_epochs": 3,
            "stages.normal_epochs": 4,
            "stages.initial_sigma_rgb": 0.1,
            "stages.annealing_weight": 0.5,
            "stages.reset_optimizer": True,
        },
    )
    loss, (stages,) = build_loss(changed)
    assert [term.weight for term in loss.terms] == [7.0, 2.0, 3.0, 4.0]
    assert (loss.crf.sigma_rgb, loss.volumetric.target_fraction) == (0.2, 0.3)
    assert loss.volumetric.small_reduction == "mean"
    assert (loss.positional.border, loss.positional.center) == (2, 5)
    assert (stages.annealing_epochs, stages.negative_epoch) == (3, 7)
    assert (stages.initial_sigma_rgb, stages.annealing_weight, stages.reset_optimizer) == (0.1, 0.5, True)


def test_single_class_reads_no_label(tmp_path, small_folder):
    only_images = tmp_path / "images"
    shutil.copytree(small_folder / "images", only_images / "images")
    shutil.copytree(small_folder / "images", only_images / "others")
    (only_images / "others" / "p0.png").rename(only_images / "others" / "q0.png")
    config = single_class(only_images, **{"data.split": None, "validation": None, "data.negatives": "others"})
    data = build_training_data(config)
    assert data.class_names == ("background", "object") and len(data) == 6
    assert data.negatives.names == ("q0",)
    assert build_training_data(config.replace({"data.object_name": "ellipse"})).class_names[1] == "ellipse"
    assert build_training_data(config.replace({"negative_epochs": 0})).negatives is None
    named = config.replace({"data.root": str(small_folder), "data.negatives": ()})
    assert build_training_data(named).class_names == ("background", "ellipse")
    (only_images / "classes.txt").write_text("background\ncat\ndog\n")
    with pytest.raises(ValueError, match="object_name` must be given where .* Received: .* 3 names"):
        build_training_data(config)


@pytest.mark.parametrize(
    ("recipe", "changes", "rate", "end"),
    [
        ("scribbles", {}, 3e-3, 0.0),
        ("single-class", {}, 1e-3, 1e-3),
        ("single-class", {"schedule": "CosineDecay"}, 1e-3, 0.0),
        ("full", {"optimizer.learning_rate": 0.5, "schedule": None}, 0.5, 0.5),
        # Where nothing is said the rate is the optimizer's own, with a schedule or without.
        ("full", {"optimizer": "SGD"}, 0.01, 0.0),
        ("full", {"optimizer": "SGD", "schedule": None}, 0.01, 0.01),
        (
            "full",
            {"optimizer": "SGD", "optimizer.learning_rate": 0.5, "schedule.end_learning_rate": 0.1},
            0.5,
            0.1,
        ),
        ("full", {"schedule": "ExponentialDecay", "schedule.decay_rate": 0.5}, 3e-3, 1.5e-3),
        (
            "full",
            {"schedule": "PolynomialDecay", "schedule.decay_steps": 5, "schedule.power": 1.0},
            3e-3,
            1e-4,
        ),
    ],
)
def test_learning_rates(recipe, changes, rate, end):
    optimizer = build_optimizer(TrainingConfig.from_recipe(recipe, "hearts", changes), 10)
    assert float(optimizer.learning_rate) == pytest.approx(rate)
    optimizer.iterations.assign(10)
    assert float(optimizer.learning_rate) == pytest.approx(end, rel=1e-6, abs=1e-9)


def test_arguments_of_the_optimizer_reach_it(small_config):
    changes = {"optimizer": "AdamW", "optimizer.weight_decay": 0.125, "optimizer.beta_1": 0.5}
    optimizer = build_optimizer(small_config.replace({**changes, "schedule": None}), 10)
    assert type(optimizer) is keras.optimizers.AdamW
    assert (optimizer.weight_decay, optimizer.beta_1) == (0.125, 0.5)
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)


SEGMENTERS = {
    "UNet": {},
    "DeepLabV3Plus": {"segmenter.backbone": "resnet18"},
    "UMobileNetV2": {"mode": "resize"},
    "EncoderUNet": {"segmenter.backbone": "resnet18"},
    "VGG16Skip": {},
}


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenters(small_config, name):
    data = build_training_data(small_config)
    config = small_config.replace({"segmenter": name, "image_size": 40, **SEGMENTERS[name]})
    segmenter = segmenter_of(config, data)
    assert segmenter.output_shape == (None, None, None, 2)
    # Resized, an image of any size has logits of its own size.
    if config.mode == "resize":
        assert segmenter.compute_output_shape((1, 33, 20, 3)) == (1, 33, 20, 2)


@pytest.mark.usefixtures("narrow_encoders")
def test_an_encoder_stays_frozen_when_a_training_goes_on(small_config, tmp_path):
    data = build_training_data(small_config)
    start = str(tmp_path / "a.keras")
    changes = {"segmenter": "EncoderUNet", "segmenter.backbone": "resnet18", "start_from": start}
    config = small_config.replace(changes)
    for frozen in (True, False):
        begun = segmenter_of(config.replace({"segmenter.frozen": frozen}), data, started=False)
        begun.save(tmp_path / "a.keras")
        segmenter = segmenter_of(config, data)
        assert (len(segmenter.trainable_variables) < len(segmenter.variables) / 2) == frozen
        np.testing.assert_array_equal(segmenter.weights[0], begun.weights[0])
        # What is said outright holds.
        thawed = segmenter_of(config.replace({"segmenter.frozen": False}), data)
        assert len(thawed.trainable_variables) > len(thawed.variables) / 2
    (tmp_path / "a.keras").write_text("no model")
    with pytest.raises(ValueError, match="start_from='.*a.keras' must be a whole Keras model. Received: "):
        start_from(config.start_from, segmenter)
    with pytest.raises(FileNotFoundError, match="There must be a run folder or file of that name"):
        start_from("missing", segmenter)


@pytest.mark.usefixtures("narrow_encoders")
def test_an_encoder_learns_at_a_rate_of_its_own(small_config):
    changes = {"segmenter": "DeepLabV3Plus", "segmenter.backbone": "resnet18", "encoder_rate": 0.1}
    config = small_config.replace(changes)
    segmenter = segmenter_of(config, build_training_data(small_config))
    optimizer = build_optimizer(config, 10, segmenter)
    assert isinstance(optimizer, LearningRateMultipliers)
    optimizer.build(segmenter.trainable_variables)
    assert optimizer.multiplier_of(segmenter.trainable_variables[0]) == 0.1
    assert optimizer.multiplier_of(segmenter.trainable_variables[-1]) == 1.0
    assert not isinstance(
        build_optimizer(config.replace({"encoder_rate": 1}), 10, segmenter), type(optimizer)
    )


@pytest.mark.parametrize("annotation", ["scribbles", "simulated_scribbles"])
def test_scribbles_are_shortened(small_config, annotation):
    config = small_config.replace({"data.annotation": annotation})
    counts = [
        drawn(build_training_data(config.replace({"data.scribble_length": part}))) for part in (1.0, 0.5, 0.0)
    ]
    assert counts[0] > 1.5 * counts[1] > 3 * counts[2] > 0


def test_full_supervision_learns_from_labels(small_folder):
    config = TrainingConfig.from_recipe("full", small_folder)
    assert drawn(build_training_data(config)) == 4 * 32 * 32


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"data.click_size": 3}, "`click_size` has an effect on clicks and simulated_clicks only"),
        ({"data.annotation": "simulated_clicks", "data.click_size": 2}, "`click_size` must be odd"),
        ({"data.stuff_classes": "ellipse"}, "`stuff_classes`.*simulated_clicks"),
        ({"data.instances": "instances"}, "`instances` has an effect on simulated_clicks only"),
        ({"data.annotation": "labels", "data.scribble_length": 0.5}, "`scribble_length`"),
        ({"data.scribble_length": 1.5}, "`scribble_length` must be a number from 0 to 1. Received: .*1.5"),
        ({"data.labeled_fraction": 2}, "`labeled_fraction` must be a number .*1"),
        ({"data.labeled_fraction": 0.0}, "`labeled_fraction` must be a number .*0"),
        ({"data.value_range": (1, 0)}, "`value_range` must be two finite numbers"),
        ({"data.color_mode": "gray"}, "`color_mode` must be"),
    ],
)
def test_choices_of_data_without_sense_are_told(small_config, changes, text):
    with pytest.raises(ValueError, match=text):
        build_training_data(small_config.replace(changes))


def test_a_share_keeps_its_annotation(small_config):
    config = small_config.replace({"data.labeled_fraction": 0.5})
    data = build_training_data(config)
    assert len(data) == 2 and len(data.unlabeled) == 2
    assert build_training_data(config.replace({"seed": 1})).names == data.names
    _, labels = next(iter(data.train(config.batch_size, config.image_size)))
    assert (labels.numpy() < PADDING).any(axis=(1, 2)).tolist() == [True, False]


@pytest.mark.parametrize("changes", [{"loss": None}, {"loss": None, "data.annotation": "labels"}])
def test_losses_that_learn_from_labels_alone_get_the_share_alone(small_config, changes):
    config = small_config.replace({"data.labeled_fraction": 0.5})
    data = build_training_data(config.replace(changes))
    assert data.names == build_training_data(config).names
    assert data.unlabeled is None
    _, labels = next(iter(data.train(config.batch_size, config.image_size)))
    assert (labels.numpy() < PADDING).any(axis=(1, 2)).all()


def test_further_images_come_from_a_list(small_config):
    data = build_training_data(small_config.replace({"data.unlabeled_split": "val"}))
    assert len(data) == 4 and data.unlabeled.names == ("p4", "p5")
    assert np.array_equal(np.unique(data.unlabeled.load(0)[1]), [255])
    for loss in ("GatedCRFLoss", None):
        with pytest.raises(
            FileNotFoundError, match=r"The list must be an existing file. Received: '.*more.txt'"
        ):
            build_training_data(small_config.replace({"data.unlabeled_split": "more", "loss": loss}))


@pytest.fixture
def black_and_white(small_folder, tmp_path):
    """The same folder, whose labels/ are 0 and 255, and scribbles/ as before."""
    root = shutil.copytree(small_folder, tmp_path / "data")
    for path in (root / "labels").iterdir():
        write_label_map(path, np.where(read_label_map(path) == 1, 255, 0).astype("uint8"))
    return root


VALUES = {0: "background", 255: "ellipse"}


def scored(config):
    data = build_validation_data(config, build_training_data(config))
    return set(np.unique(data.load(0)[1]))


def test_values_of_labels_are_not_those_of_annotation(small_config, black_and_white):
    config = small_config.replace({"data.root": str(black_and_white)})
    assert scored(config.replace({"validation.values": VALUES})) == {0, 1}
    # Unsaid, 255 is unlabeled; and what is said of scribbles/ is not said of labels/.
    for changes in ({}, {"data.values": {0: "background", 1: "ellipse", 255: "unlabeled"}}):
        with pytest.raises(ValueError, match="two classes must be .* 2 label maps .* 255 .unlabeled."):
            scored(config.replace(changes))
    swapped = {0: "ellipse", 1: "background", 255: "unlabeled"}
    before = build_training_data(config).load(0)[1]
    after = build_training_data(config.replace({"data.values": swapped})).load(0)[1]
    np.testing.assert_array_equal(after[before < 2], 1 - before[before < 2])


@pytest.mark.parametrize("annotation", ["labels", "simulated_clicks", "simulated_scribbles"])
def test_what_is_made_of_labels_shares_their_values(small_config, black_and_white, annotation):
    changes = {"data.root": str(black_and_white), "data.annotation": annotation, "data.values": VALUES}
    assert scored(small_config.replace(changes)) == {0, 1}


def test_validation_images_are_read_as_the_training_images_are(small_config):
    config = small_config.replace({"data.color_mode": "grayscale", "data.value_range": (0, 1)})
    data = build_training_data(config)
    validation = build_validation_data(config, data)
    assert (validation.channels, validation.value_range) == (1, (0, 1)) and len(validation) == 2
    assert validation.load(0)[0].max() <= 1
    assert validation.class_names == data.class_names
    assert build_validation_data(config.replace({"validation": None}), data) is None
