"""An interruption at the worst moments."""

import pathlib

import keras
import numpy as np
import pytest

from keras_wsseg.training import checkpoint, train
from keras_wsseg.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("eagerly")


def weights(run):
    return keras.saving.load_model(run.segmenter).get_weights()


@pytest.fixture(scope="module")
def unbroken(small_config, tmp_path_factory):
    config = small_config.replace({"loss": None, "images_every": 0, "validation": None})
    return config, weights(train(config, tmp_path_factory.mktemp("unbroken") / "run", verbose=0))


def while_weights_are_written(patch):
    """Half of the second file is there when Ctrl-C comes."""
    original, calls = keras.Model.save_weights, []

    def save(self, path, **options):
        original(self, path, **options)
        calls.append(path)
        if len(calls) == 2:
            whole = pathlib.Path(path).read_bytes()
            pathlib.Path(path).write_bytes(whole[: len(whole) // 2])
            raise KeyboardInterrupt

    patch.setattr(keras.Model, "save_weights", save)


def before_the_note(patch):
    """All weights are there, and nothing says so yet."""
    original, calls = checkpoint.write_text, []

    def write(path, text):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(path, text)

    patch.setattr(checkpoint, "write_text", write)


@pytest.mark.parametrize("interrupt", (while_weights_are_written, before_the_note))
def test_a_training_goes_on_from_the_last_whole_checkpoint(unbroken, interrupt, tmp_path):
    config, expected = unbroken
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch)
        train(config, tmp_path / "run", verbose=0)
    assert RunFolder(tmp_path / "run").completed_epochs() == 1
    resumed = weights(train(None, tmp_path / "run", resume=True, verbose=0))
    for found, wanted in zip(resumed, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_weights_that_are_gone_are_told(unbroken, tmp_path):
    config, _ = unbroken
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        before_the_note(patch)
        train(config, tmp_path / "run", verbose=0)
    for file in (tmp_path / "run" / "backup").glob("*.weights.h5"):
        file.unlink()
    with pytest.raises(ValueError, match="The checkpoint in .*backup' is damaged: remove that folder"):
        train(None, tmp_path / "run", resume=True, verbose=0)
