"""Trainings from tags of whole images, from settings to scores."""

import csv

import keras
import numpy as np
import pytest

from keras_wsseg import losses, models
from keras_wsseg.annotations import UNLABELED
from keras_wsseg.optimizers import LearningRateMultipliers
from keras_wsseg.training import train
from keras_wsseg.training.build import build_loss, build_model, build_optimizer, build_training_data
from keras_wsseg.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def config(small_config):
    """Tags read off the label maps, and nothing else of them."""
    return small_config.replace(tags="labels", crop=16, cam_scales=(1.0,), mining_crf="windowed", dilation=2)


def test_the_data_have_tags_and_no_label(config):
    data = build_training_data(config.replace(method="rrm"))
    assert data.tags.shape == (4, 2) and (data.tags[:, 0] == 1).all() and len(data) == 4
    assert (data.load(0)[1] == UNLABELED).all()


def test_the_adaptive_prior_has_its_losses_with_what_was_set(config):
    config = config.replace(method="tags-prior")
    total, (warm_up,) = build_loss(config)
    prior, neighborhood = total.terms
    assert prior.get_config() == losses.AdaptivePriorLoss().get_config()
    assert neighborhood.get_config() == losses.NeighborhoodLoss().get_config()
    assert warm_up.loss is neighborhood and (warm_up.steps, warm_up.ramp) == (2, 2)
    changed = config.replace(
        prior_background=0.3, prior_object=0.1, sharpness=4.0, neighborhood_radius=3, crf_weight=0.7,
        sigma_xy=9.0, sigma_rgb=0.2,
    )  # fmt: skip
    prior, neighborhood = build_loss(changed)[0].terms
    assert (prior.background_share, prior.object_fraction) == (0.3, 0.1)
    assert (neighborhood.sharpness, neighborhood.radius, neighborhood.weight) == (4.0, 3, 0.7)
    wide, near = neighborhood.kernels
    assert (wide.xy, wide.rgb, wide.weight, near.xy) == (9.0, 0.2, 10.0, 3.0)
    dense = config.replace(neighborhood="mean", sharpness=4.0, dense_method="nystrom", landmarks=7)
    neighborhood = build_loss(dense)[0].terms[1]
    assert (neighborhood.kind, neighborhood.method, neighborhood.landmarks) == ("mean", "nystrom", 7)
    alone, schedule = build_loss(config.replace(neighborhood="none"))
    assert len(alone.terms) == 1 and schedule == []


def test_reliable_regions_have_their_losses_with_what_was_set(config):
    total, schedule = build_loss(config.replace(method="rrm"))
    cross_entropy, energy = total.terms
    assert cross_entropy.get_config() == losses.BalancedCrossEntropy().get_config()
    assert energy.get_config() == losses.DenseEnergyLoss(resolution=0.5).get_config()
    assert [one.loss for one in schedule] == [cross_entropy, energy]
    changed = config.replace(method="rrm", crf_weight=0.7, sigma_xy=9.0, sigma_rgb=0.2, loss_scale=1.0)
    energy = build_loss(changed)[0].terms[1]
    assert (energy.weight, energy.sigma_xy, energy.sigma_rgb, energy.scale) == (0.7, 9.0, 0.2, 1.0)


def test_the_model_mines_as_was_set(config):
    data = build_training_data(config.replace(method="rrm"))
    changed = config.replace(
        method="rrm", reliable_share=0.3, background_gamma=2.0, cam_scales=(0.5, 1.0), dilation=3,
        classification_weight=0.5, mining_crf="none",
    )  # fmt: skip
    model, segmenter = build_model(changed, data)
    settings = model.get_config()
    assert (settings["share"], settings["gamma"], settings["scales"]) == (0.3, 2.0, (0.5, 1.0))
    assert (settings["dilation"], settings["classification_weight"], settings["crf"]) == (3, 0.5, False)
    # Whole images: the segmenter resizes to the side at which it was trained.
    assert segmenter.compute_output_shape((1, 33, 20, 3)) == (1, 33, 20, 2)
    shared = {id(weight) for weight in model.weights}
    assert segmenter.weights and all(id(weight) in shared for weight in segmenter.weights)
    windowed, _ = build_model(config.replace(method="rrm"), data)
    assert windowed._regions.crf.radius == 5 and windowed._regions.crf.iterations == 10
    dense, _ = build_model(config.replace(method="rrm", mining_crf="dense"), data)
    assert dense._regions.crf.radius is None


@pytest.mark.usefixtures("narrow_encoders")
def test_a_branch_on_a_named_backbone_whose_encoder_learns_slower(config):
    config = config.replace(method="rrm", model="two-branch", backbone="resnet18", encoder_rate=0.1)
    data = build_training_data(config)
    model, segmenter = build_model(config, data)
    assert isinstance(model, models.ReliableRegionMining)
    optimizer = build_optimizer(config, 10, segmenter)
    assert isinstance(optimizer, LearningRateMultipliers)
    optimizer.build(model.trainable_variables)
    head = model.segmenter.get_layer("logits").kernel
    first = next(x for x in model.trainable_variables if x.shape[-1] == 16 and len(x.shape) == 4)
    assert optimizer.multiplier_of(first) == 0.1 and optimizer.multiplier_of(head) == 1.0
    assert not isinstance(build_optimizer(config.replace(encoder_rate=1.0), 10, segmenter), type(optimizer))


@pytest.mark.parametrize("method", ("tags-prior", "rrm"))
def test_a_training_writes_what_it_sees_and_goes_on_where_it_stopped(config, method, tmp_path):
    config = config.replace(method=method)
    run = train(config, tmp_path / "run", verbose=0)
    images = sorted(path.name for path in run.images.glob("*.png"))
    assert images == ["epoch_0001.png", "epoch_0002.png", "epoch_0003.png"]
    with open(run.log) as file:
        columns = next(csv.reader(file))
    terms = {"tags-prior": {"adaptive_prior", "neighborhood"}, "rrm": {"classification", "dense_energy"}}
    assert terms[method] <= set(columns)
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
