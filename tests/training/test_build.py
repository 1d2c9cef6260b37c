import numpy as np
import pytest

from keras_wsseg.annotations import OUTSIDE
from keras_wsseg.training.build import build_training_data


def drawn(data):
    return sum((data.load(index)[1] < OUTSIDE).sum() for index in range(len(data)))


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
