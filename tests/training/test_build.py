import shutil

import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.annotations import PADDING
from keras_wsseg.training.build import (
    build_loss,
    build_optimizer,
    build_segmenter,
    build_training_data,
    start_from,
)


def drawn(data):
    return sum((data.load(index)[1] < PADDING).sum() for index in range(len(data)))


def test_methods_have_their_losses_with_what_was_set(small_config):
    for method, name in {
        "gated-crf": "GatedCRFLoss",
        "dense-crf": "DenseCRFLoss",
        "normalized-cut": "NormalizedCutLoss",
        "kernel-cut": "KernelCutLoss",
        "adm": "ADMLoss",
    }.items():
        total, (warm_up,) = build_loss(small_config.replace(method=method))
        loss = warm_up.loss
        assert (warm_up.steps, warm_up.ramp) == (2, 2)
        kind = getattr(losses, name)
        assert type(loss) is kind and loss in total.terms
        # What is not set is the loss's own default.
        assert loss.get_config() == kind(scale=0.5).get_config()
        changed = small_config.replace(
            method=method, crf_weight=0.7, sigma_xy=9.0, sigma_rgb=0.2, loss_scale=0.25, gamma=0.4,
            landmarks=33, dense_method="nystrom", adm_strength=1.5, adm_iterations=2, radius=3,
            cut_sigma_xy=4.0, cut_sigma_rgb=0.3,
        )  # fmt: skip
        loss = build_loss(changed)[1][0].loss
        assert (loss.weight, loss.scale) == (0.7, 0.25)
        widths = loss.kernels[0] if method == "gated-crf" else loss
        assert set(widths.get_config().values()) >= {9.0, 0.2}
        if method != "gated-crf":
            assert (loss.method, loss.landmarks) == ("nystrom", 33)
        if method == "kernel-cut":
            assert (loss.cut_sigma_xy, loss.cut_sigma_rgb) == (4.0, 0.3)
        assert getattr(loss, "gamma", 0.4) == 0.4 and getattr(loss, "strength", 1.5) == 1.5
        assert getattr(loss, "iterations", 2) == 2 and getattr(loss, "radius", 3) == 3
    for method in ("pce", "full"):
        assert build_loss(small_config.replace(method=method))[1] == []


def test_single_class_has_its_loss_and_stages(small_config):
    config = small_config.replace(method="single-class")
    loss, (stages,) = build_loss(config)
    assert loss.get_config() == losses.SingleClassLoss().get_config()
    assert (stages.annealing_epochs, stages.negative_epoch, stages.loss) == (15, 65, loss)
    changed = config.replace(
        crf_weight=7.0, sigma_rgb=0.2, volumetric_weight=2.0, positional_weight=3.0, negative_weight=4.0,
        object_fraction=0.3, small_reduction="mean", border=2, center=5, annealing_epochs=3, normal_epochs=4,
        first_sigma=0.1, annealing_weight=0.5, reset_optimizer=True,
    )  # fmt: skip
    loss, (stages,) = build_loss(changed)
    assert [term.weight for term in loss.terms] == [7.0, 2.0, 3.0, 4.0]
    assert (loss.crf.sigma, loss.volumetric.target, loss.volumetric.small_reduction) == (0.2, 0.3, "mean")
    assert (loss.positional.border, loss.positional.center) == (2, 5)
    assert (stages.annealing_epochs, stages.negative_epoch) == (3, 7)
    assert (stages.first_sigma, stages.annealing_weight, stages.reset_optimizer) == (0.1, 0.5, True)


def test_single_class_reads_no_label(small_config, tmp_path, small_folder):
    only_images = tmp_path / "images"
    shutil.copytree(small_folder / "images", only_images / "images")
    shutil.copytree(small_folder / "images", only_images / "others")
    (only_images / "others" / "p0.png").rename(only_images / "others" / "q0.png")
    config = small_config.replace(
        method="single-class",
        data=str(only_images),
        train_split=None,
        val_split=None,
        negatives=("others",),
    )
    data = build_training_data(config)
    assert data.class_names == ("background", "object") and len(data) == 6
    assert data.negatives.names == ("q0",)
    assert build_training_data(config.replace(object_name="ellipse")).class_names[1] == "ellipse"
    assert build_training_data(config.replace(negative_epochs=0)).negatives is None
    named = config.replace(data=str(small_folder), negatives=())
    assert build_training_data(named).class_names == ("background", "ellipse")
    (only_images / "classes.txt").write_text("background\ncat\ndog\n")
    with pytest.raises(ValueError, match="object_name must be given where .* Received: .* 3 names"):
        build_training_data(config)


def test_learning_rates(small_config):
    for method, given, rate, end in (
        ("gated-crf", {}, 3e-3, 0.0),
        ("single-class", {}, 1e-3, 1e-3),
        ("single-class", {"decay": "polynomial"}, 1e-3, 0.0),
        ("full", {"learning_rate": 0.5, "decay": "constant"}, 0.5, 0.5),
    ):
        optimizer = build_optimizer(small_config.replace(method=method, **given), 10)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        optimizer.iterations.assign(10)
        assert float(optimizer.learning_rate) == pytest.approx(end)


@pytest.mark.parametrize("model", ("unet", "deeplabv3plus", "umobilenetv2", "encoder-unet"))
def test_segmenters(small_config, model):
    data = build_training_data(small_config)
    config = small_config.replace(model=model, backbone="resnet18", whole=model == "umobilenetv2", crop=40)
    segmenter = build_segmenter(config, data)
    assert segmenter.output_shape == (None, None, None, 2)


@pytest.mark.usefixtures("narrow_encoders")
def test_an_encoder_stays_frozen_when_a_training_goes_on(small_config, tmp_path):
    data = build_training_data(small_config)
    start = str(tmp_path / "a.keras")
    config = small_config.replace(model="encoder-unet", backbone="resnet18", start_from=start)
    for encoder, frozen in (("frozen", True), ("trained", False)):
        begun = build_segmenter(config.replace(encoder=encoder), data, started=False)
        begun.save(tmp_path / "a.keras")
        segmenter = build_segmenter(config, data)
        assert (len(segmenter.trainable_variables) < len(segmenter.variables) / 2) == frozen
        start_from(config.start_from, segmenter)
        np.testing.assert_array_equal(segmenter.weights[0], begun.weights[0])
    (tmp_path / "a.keras").write_text("no model")
    with pytest.raises(ValueError, match="start_from='.*a.keras' must be a whole Keras model. Received: "):
        start_from(config.start_from, segmenter)
    with pytest.raises(FileNotFoundError, match="There must be a run folder or file of that name"):
        start_from("missing", segmenter)


@pytest.mark.parametrize("annotation", ["scribbles", "simulated_scribbles"])
def test_scribbles_are_shortened(small_config, annotation):
    config = small_config.replace(annotation=annotation)
    counts = [drawn(build_training_data(config.replace(scribble_length=part))) for part in (1.0, 0.5, 0.0)]
    assert counts[0] > 1.5 * counts[1] > 3 * counts[2] > 0


def test_full_supervision_has_no_scribbles_to_shorten(small_config):
    data = build_training_data(small_config.replace(method="full", scribble_length=0.5))
    assert drawn(data) == 4 * 32 * 32


def test_a_share_keeps_its_annotation(small_config):
    config = small_config.replace(labeled_fraction=0.5)
    data = build_training_data(config)
    assert len(data) == 2 and len(data.unlabeled) == 2
    assert build_training_data(config.replace(seed=1)).names == data.names
    _, labels = next(iter(data.train(config.batch_size, config.crop)))
    assert (labels.numpy() < PADDING).any(axis=(1, 2)).tolist() == [True, False]


@pytest.mark.parametrize("method", ["pce", "full"])
def test_methods_that_learn_from_labels_alone_get_the_share_alone(small_config, method):
    config = small_config.replace(labeled_fraction=0.5, method=method)
    data = build_training_data(config)
    assert data.names == build_training_data(config.replace(method="gated-crf")).names
    assert data.unlabeled is None
    _, labels = next(iter(data.train(config.batch_size, config.crop)))
    assert (labels.numpy() < PADDING).any(axis=(1, 2)).all()


def test_further_images_come_from_a_list(small_config, small_folder):
    data = build_training_data(small_config.replace(unlabeled_split="val"))
    assert len(data) == 4 and data.unlabeled.names == ("p4", "p5")
    assert np.array_equal(np.unique(data.unlabeled.load(0)[1]), [255])
    for method in ("gated-crf", "pce"):
        with pytest.raises(
            FileNotFoundError, match=r"The list must be an existing file. Received: '.*more.txt'"
        ):
            build_training_data(small_config.replace(unlabeled_split="more", method=method))
