import itertools

import numpy as np
import pytest

from keras_wsseg.training import TrainingConfig
from keras_wsseg.training.batches import training_batches, training_length
from keras_wsseg.training.build import build_training_data
from keras_wsseg.visualization import write_png


@pytest.fixture
def single(tmp_path):
    """Five positives and three negatives, one annealing epoch, one normal one, two with negatives."""
    for folder, count in (("images", 5), ("others", 3)):
        (tmp_path / folder).mkdir()
        for index in range(count):
            value = np.full((16, 16, 3), 20 * index + (100 if folder == "others" else 0), "uint8")
            write_png(tmp_path / folder / f"{folder}{index}.png", value)
    changes = {
        "data.split": None,
        "data.negatives": "others",
        "validation": None,
        "image_size": 8,
        "batch_size": 2,
        "stages.annealing_epochs": 1,
        "stages.normal_epochs": 1,
        "negative_epochs": 2,
    }
    return TrainingConfig.from_recipe("single-class", tmp_path, changes)


def taken(config, done=0, steps=None):
    data = build_training_data(config)
    length = training_length(config, data)
    steps = length.steps - done * length.epoch_steps if steps is None else steps
    batches = training_batches(config, data, length, done)
    return [(x.numpy(), y.numpy()) for x, y in itertools.islice(batches, steps)]


def test_length_by_steps(small_config):
    data = build_training_data(small_config)
    length = training_length(small_config.replace({"steps": 7, "steps_per_epoch": 3}), data)
    assert (length.epochs, length.epoch_steps, length.steps) == (3, 3, 9)
    length = training_length(small_config.replace({"steps": 120, "steps_per_epoch": None}), data)
    assert (length.epochs, length.epoch_steps) == (3, 40)


def test_length_by_stages(single):
    data = build_training_data(single)
    length = training_length(single, data)
    assert (length.epochs, length.epoch_steps, length.negative_epoch) == (4, 3, 2)
    assert training_length(single.replace({"steps_per_epoch": 7}), data).epoch_steps == 7
    without = single.replace({"data.negatives": ()})
    assert training_length(without, build_training_data(without)).epochs == 2


def test_negatives_come_in_the_last_stage(single):
    for number, (_, labels) in enumerate(taken(single)):
        expected = [255, 255] if number < 6 else [0, 0, 255, 255]
        assert sorted(labels[:, 0, 0]) == expected
        assert all((one == one[0, 0]).all() for one in labels)
    one = taken(single.replace({"negative_batch": 1}))[-1]
    assert sorted(one[1][:, 0, 0]) == [0, 255, 255]


@pytest.mark.parametrize("done", (1, 2, 3))
def test_a_resumed_training_sees_the_batches_it_missed(single, done):
    whole, rest = taken(single)[3 * done :], taken(single, done)
    assert len(whole) == len(rest)
    for (images, labels), (again, labels_again) in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, labels_again)


def test_whole_images_are_resized(small_config):
    (images, labels), *_ = taken(small_config.replace({"mode": "resize", "image_size": 16}), steps=1)
    assert images.shape == (2, 16, 16, 3) and labels.shape == (2, 16, 16)
    # A whole image has all its border, so nothing of it is outside.
    assert (labels != 254).all()
