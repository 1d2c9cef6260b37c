"""Trainings from tags of whole images, from settings to scores."""

import csv

import keras
import numpy as np
import pytest

from keras_wsseg import losses, models
from keras_wsseg.annotations import UNLABELED
from keras_wsseg.optimizers import LearningRateMultipliers
from keras_wsseg.training import TrainingConfig, train
from keras_wsseg.training.build import (
    build_loss,
    build_model,
    build_optimizer,
    build_training_data,
    build_validation_data,
)
from keras_wsseg.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def make_config(small_folder):
    """Tags read off the label maps, and nothing else of them."""

    def make(recipe, **changes):
        inner = "segmenter.backbone.filters" if recipe == "rrm" else "segmenter.filters"
        mining = {"segmenter.scales": 1.0, "segmenter.crf": "windowed", "segmenter.dilation": 2}
        small = {
            "data.tags": "labels",
            inner: (4, 8),
            "steps": 6,
            "batch_size": 2,
            "image_size": 16,
            "steps_per_epoch": 2,
            "warm_up.delay_steps": 2,
            "warm_up.ramp_steps": 2,
            "images_every": 1,
            **(mining if recipe == "rrm" else {}),
        }
        if "segmenter.backbone" in changes:
            del small[inner]
        return TrainingConfig.from_recipe(recipe, small_folder, {**small, **changes})

    return make


def test_the_data_have_tags_and_no_label(make_config):
    data = build_training_data(make_config("rrm"))
    assert data.tags.shape == (4, 2) and (data.tags[:, 0] == 1).all() and len(data) == 4
    assert (data.load(0)[1] == UNLABELED).all()


def test_values_of_tagged_maps_are_those_of_labels_unless_said_otherwise(make_config):
    values = {0: "ellipse", 1: "background"}
    config = make_config("tags", **{"data.values": values, "data.min_pixels": 3})
    data = build_training_data(config)
    assert (data.tags[:, 0] == 1).all()
    before = build_validation_data(config.replace({"data.values": None}), data).load(0)[1]
    after = build_validation_data(config, data).load(0)[1]
    np.testing.assert_array_equal(after[before < 2], 1 - before[before < 2])


def test_the_adaptive_prior_has_its_losses_with_what_was_set(make_config):
    total, (warm_up,) = build_loss(make_config("tags"))
    prior, neighborhood = total.terms
    assert prior.get_config() == losses.AdaptivePriorLoss().get_config()
    assert neighborhood.get_config() == losses.NeighborhoodLoss().get_config()
    assert warm_up.loss is neighborhood and (warm_up.delay_steps, warm_up.ramp_steps) == (2, 2)
    changes = {"loss.min_background_fraction": 0.3, "loss.min_object_fraction": 0.1, "loss.sharpness": 4.0}
    changes |= {"loss.radius": 3, "loss.weight": 0.7, "loss.adaptive_prior.weight": 2.0}
    kernel = {"class_name": "GaussianKernel", "weight": 10.0, "sigma_xy": 9.0, "sigma_rgb": 0.2}
    prior, neighborhood = build_loss(make_config("tags", **changes, **{"loss.kernels": kernel}))[0].terms
    assert (prior.weight, prior.get_config()["min_background_fraction"]) == (2.0, 0.3)
    assert prior.get_config()["min_object_fraction"] == 0.1
    assert (neighborhood.sharpness, neighborhood.radius, neighborhood.weight) == (4.0, 3, 0.7)
    (wide,) = neighborhood.kernels
    assert (wide.sigma_xy, wide.sigma_rgb, wide.weight) == (9.0, 0.2, 10.0)
    changes = {"loss.variant": "mean", "loss.filter_method": "nystrom", "loss.landmarks": 7}
    neighborhood = build_loss(make_config("tags", **changes))[0].terms[1]
    assert (neighborhood.variant, neighborhood.filter_method, neighborhood.landmarks) == (
        "mean",
        "nystrom",
        7,
    )
    alone, schedule = build_loss(make_config("tags", loss=None))
    assert isinstance(alone, losses.AdaptivePriorLoss) and schedule == []


def test_reliable_regions_have_their_losses_with_what_was_set(make_config):
    total, schedule = build_loss(make_config("rrm"))
    cross_entropy, energy = total.terms
    assert cross_entropy.get_config() == losses.BalancedCrossEntropy().get_config()
    assert energy.get_config() == losses.DenseEnergyLoss().get_config()
    assert [one.loss for one in schedule] == [cross_entropy, energy]
    changes = {"weight": 0.7, "sigma_xy": 9.0, "sigma_rgb": 0.2, "resolution": 1.0}
    changed = make_config("rrm", **{f"loss.{name}": value for name, value in changes.items()})
    assert build_loss(changed)[0].terms[1].get_config() == losses.DenseEnergyLoss(**changes).get_config()


def test_the_model_mines_as_was_set(make_config):
    config = make_config("rrm")
    data = build_training_data(config)
    changes = {"keep_fraction": 0.3, "background_exponent": 2.0, "scales": (0.5, 1.0), "dilation": 3}
    changes |= {"classification_weight": 0.5, "crf": None}
    model, segmenter = build_model(
        make_config("rrm", **{f"segmenter.{name}": value for name, value in changes.items()}), data
    )
    settings = model.get_config()
    assert {name: settings[name] for name in changes} == changes
    # Whole images: the segmenter resizes to the side at which it was trained.
    assert segmenter.compute_output_shape((1, 33, 20, 3)) == (1, 33, 20, 2)
    shared = {id(weight) for weight in model.weights}
    assert segmenter.weights and all(id(weight) in shared for weight in segmenter.weights)
    windowed, _ = build_model(config, data)
    assert windowed._regions.crf.radius == 5 and windowed._regions.crf.iterations == 10
    dense, _ = build_model(config.replace({"segmenter.crf": "dense"}), data)
    assert dense._regions.crf.radius is None


@pytest.mark.usefixtures("narrow_encoders")
def test_a_branch_on_a_named_backbone_whose_encoder_learns_slower(make_config):
    config = make_config("rrm", **{"segmenter.backbone": "resnet18", "encoder_rate": 0.1})
    data = build_training_data(config)
    model, segmenter = build_model(config, data)
    assert isinstance(model, models.ReliableRegionMining)
    optimizer = build_optimizer(config, 10, segmenter)
    assert isinstance(optimizer, LearningRateMultipliers)
    optimizer.build(model.trainable_variables)
    head = model.segmenter.get_layer("logits").kernel
    first = next(x for x in model.trainable_variables if x.shape[-1] == 16 and len(x.shape) == 4)
    assert optimizer.multiplier_of(first) == 0.1 and optimizer.multiplier_of(head) == 1.0
    plain = build_optimizer(config.replace({"encoder_rate": 1.0}), 10, segmenter)
    assert not isinstance(plain, LearningRateMultipliers)


@pytest.mark.parametrize("recipe", ("tags", "rrm"))
def test_a_training_writes_what_it_sees_and_goes_on_where_it_stopped(make_config, recipe, tmp_path):
    config = make_config(recipe)
    run = train(config, tmp_path / "run", verbose=0)
    images = sorted(path.name for path in run.images.glob("*.png"))
    assert images == ["epoch_0001.png", "epoch_0002.png", "epoch_0003.png"]
    with open(run.log) as file:
        columns = next(csv.reader(file))
    terms = {"tags": {"adaptive_prior", "neighborhood"}, "rrm": {"classification", "dense_energy"}}
    assert terms[recipe] <= set(columns)
    assert 0 <= run.read_scores()["mean_iou"] <= 1
    whole = keras.saving.load_model(run.segmenter)

    class Stop(Exception):
        pass

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(keras.callbacks.CSVLogger, "on_epoch_begin", stop)
        train(config, tmp_path / "again", verbose=0)
    assert RunFolder(tmp_path / "again").completed_epochs() == 1
    resumed = train(None, tmp_path / "again", resume=True, verbose=0)
    image = np.random.default_rng(0).uniform(0, 255, (1, 20, 24, 3)).astype("float32")
    again = keras.saving.load_model(resumed.segmenter)
    np.testing.assert_allclose(np.array(again(image)), np.array(whole(image)), atol=1e-4)
