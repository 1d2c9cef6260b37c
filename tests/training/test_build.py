import numpy as np
import pytest

from keras_wsseg import losses
from keras_wsseg.annotations import OUTSIDE
from keras_wsseg.training.build import build_loss, build_training_data


def drawn(data):
    return sum((data.load(index)[1] < OUTSIDE).sum() for index in range(len(data)))


def test_methods_have_their_losses_with_what_was_set(small_config):
    for method, name in {
        "gated-crf": "GatedCRFLoss",
        "dense-crf": "DenseCRFLoss",
        "normalized-cut": "NormalizedCutLoss",
        "kernel-cut": "KernelCutLoss",
        "adm": "ADMLoss",
    }.items():
        total, loss = build_loss(small_config.replace(method=method))
        kind = getattr(losses, name)
        assert type(loss) is kind and loss in total.terms
        # What is not set is the loss's own default.
        assert loss.get_config() == kind(scale=0.5).get_config()
        changed = small_config.replace(
            method=method, crf_weight=0.7, sigma_xy=9.0, sigma_rgb=0.2, loss_scale=0.25, gamma=0.4,
            landmarks=33, dense_method="nystrom", adm_strength=1.5, adm_iterations=2, radius=3,
            cut_sigma_xy=4.0, cut_sigma_rgb=0.3,
        )  # fmt: skip
        _, loss = build_loss(changed)
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
        assert build_loss(small_config.replace(method=method))[1] is None


@pytest.mark.parametrize("annotation", ["scribbles", "simulated_scribbles"])
def test_scribbles_are_shortened(small_config, annotation):
    config = small_config.replace(annotation=annotation)
    counts = [drawn(build_training_data(config.replace(scribble_length=part))) for part in (1.0, 0.5, 0.0)]
    assert counts[0] > 1.5 * counts[1] > 3 * counts[2] > 0


def test_full_supervision_has_no_scribbles_to_shorten(small_config):
    data = build_training_data(small_config.replace(method="full", scribble_length=0.5))
    assert drawn(data) == 4 * 32 * 32


def test_a_share_keeps_its_annotation(small_config):
    config = small_config.replace(labelled_share=0.5)
    data = build_training_data(config)
    assert len(data) == 2 and len(data.unlabelled) == 2
    assert build_training_data(config.replace(seed=1)).names == data.names
    _, labels = next(iter(data.train(config.batch_size, config.crop)))
    assert (labels.numpy() < OUTSIDE).any(axis=(1, 2)).tolist() == [True, False]


@pytest.mark.parametrize("method", ["pce", "full"])
def test_methods_that_learn_from_labels_alone_get_the_share_alone(small_config, method):
    config = small_config.replace(labelled_share=0.5, method=method)
    data = build_training_data(config)
    assert data.names == build_training_data(config.replace(method="gated-crf")).names
    assert data.unlabelled is None
    _, labels = next(iter(data.train(config.batch_size, config.crop)))
    assert (labels.numpy() < OUTSIDE).any(axis=(1, 2)).all()


def test_further_pictures_come_from_a_list(small_config, small_folder):
    data = build_training_data(small_config.replace(unlabelled_split="val"))
    assert len(data) == 4 and data.unlabelled.names == ("p4", "p5")
    assert np.array_equal(np.unique(data.unlabelled.load(0)[1]), [255])
    for method in ("gated-crf", "pce"):
        with pytest.raises(
            FileNotFoundError, match=r"A list must be there as a file. Received: '.*more.txt'"
        ):
            build_training_data(small_config.replace(unlabelled_split="more", method=method))
