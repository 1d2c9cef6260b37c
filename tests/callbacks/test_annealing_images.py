import keras
import numpy as np
import pytest
import ways
from PIL import Image

from keras_wsseg import WeaklySupervisedModel, losses
from keras_wsseg.callbacks import AnnealingImages, ParameterScheduler
from keras_wsseg.visualization import annealing_sheet

SIZE = 16


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, SIZE, SIZE, 3)).astype("float32")
    return images, np.full((3, SIZE, SIZE), 255, "uint8")


def compiled(**options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    model = WeaklySupervisedModel(keras.Model(inputs, keras.layers.Conv2D(2, 1)(x)))
    crf = losses.SparseCRFLoss()
    model.compile(keras.optimizers.SGD(5.0), crf, **options)
    return model, crf


def sigma_of(epoch):
    return 0.05 + 0.1 * (epoch + 1) / 3


def film(folder):
    return np.asarray(Image.open(folder / "annealing.png"))


def fit(task, folder, end, initial_epoch=0, model_and_crf=None, **options):
    model, crf = model_and_crf or compiled(run_eagerly=True)
    images = AnnealingImages(task[0], crf, folder, **options)
    model.fit(
        *task,
        epochs=end,
        initial_epoch=initial_epoch,
        verbose=0,
        callbacks=[ParameterScheduler(crf, "sigma_rgb", sigma_of), images],
    )
    return model, crf


@pytest.mark.any_backend
@pytest.mark.parametrize("options", [{"jit_compile": True}] + [{"jit_compile": False}] * (not ways.ON_JAX))
def test_film_shows_sigma_and_prediction_of_each_epoch(task, tmp_path, options):
    model, crf = compiled(**options)
    seen = []

    def predict(epoch, logs):
        logits = keras.ops.image.resize(model(task[0][:2]), (SIZE, SIZE), interpolation="bilinear")
        seen.append(keras.ops.convert_to_numpy(keras.ops.softmax(logits)))

    model.fit(
        *task,
        epochs=3,
        verbose=0,
        callbacks=[
            ParameterScheduler(crf, "sigma_rgb", sigma_of),
            AnnealingImages(task[0], crf, tmp_path, max_images=2),
            keras.callbacks.LambdaCallback(on_epoch_end=predict),
        ],
    )
    assert np.abs(seen[0] - seen[2]).max() > 0.01
    expected = annealing_sheet(list(task[0][:2]), [sigma_of(epoch) for epoch in range(3)], seen)
    written = film(tmp_path)
    assert written.shape == expected.shape
    assert np.abs(written.astype(int) - expected).max() <= 1


def test_resumed_training_goes_on_with_the_film(task, tmp_path):
    fit(task, tmp_path / "whole", 3)
    model_and_crf = fit(task, tmp_path / "parts", 2)
    assert film(tmp_path / "parts").shape[1] < film(tmp_path / "whole").shape[1]
    fit(task, tmp_path / "parts", 3, initial_epoch=2, model_and_crf=model_and_crf)
    whole, parts = film(tmp_path / "whole"), film(tmp_path / "parts")
    assert whole.shape == parts.shape
    # Two trainings may round differently, no more.
    assert np.abs(whole.astype(int) - parts).mean() < 1


def test_training_anew_leaves_no_columns_of_the_old_one(task, tmp_path):
    fit(task, tmp_path / "film", 3, show="mask")
    old = film(tmp_path / "film")
    fit(task, tmp_path / "film", 1)
    fit(task, tmp_path / "fresh", 1)
    # Two trainings may round differently, by one of 255 steps.
    np.testing.assert_allclose(film(tmp_path / "film").astype(int), film(tmp_path / "fresh"), atol=1)
    assert film(tmp_path / "film").shape[1] < old.shape[1]


def test_every_so_many_of_the_first_epochs(task, tmp_path):
    fit(task, tmp_path, 7, every=2, epochs=5)
    assert sorted(path.name for path in (tmp_path / "columns").iterdir()) == [
        "epoch_0002.png",
        "epoch_0004.png",
    ]
    width = film(tmp_path).shape[1]
    columns = [Image.open(path).width for path in (tmp_path / "columns").iterdir()]
    assert width > sum(columns)
    assert not list(tmp_path.rglob("*.tmp"))


def test_images_of_several_sizes_with_truth_and_a_mask(task, tmp_path):
    images, labels = task
    model, crf = compiled()
    truth = [np.ones((10, SIZE), int), None]
    with_truth = AnnealingImages(
        [images[0][:10], images[1][:, :7]], crf, tmp_path, truth=truth, show="mask", cell=40
    )
    model.fit(images, labels, verbose=0, callbacks=[with_truth])
    without = AnnealingImages([images[0][:10], images[1][:, :7]], crf, tmp_path / "b", show="mask", cell=40)
    without.set_model(model)
    without.on_epoch_end(0)
    assert film(tmp_path).shape[0] == film(tmp_path / "b").shape[0]
    assert (film(tmp_path)[:, :60] != film(tmp_path / "b")[:, :60]).any()


def test_value_range_comes_from_the_model_or_the_argument(task, tmp_path):
    unit = task[0] / 255
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
    model, crf = WeaklySupervisedModel(net, value_range=(0, 1)), losses.SparseCRFLoss()
    model.compile("sgd", crf)
    stated, given = (
        AnnealingImages(unit, crf, tmp_path / name, value_range=value_range)
        for name, value_range in (("stated", None), ("given", (0, 1)))
    )
    for images in (stated, given):
        images.set_model(model)
        images.on_epoch_end(0)
    np.testing.assert_array_equal(film(tmp_path / "stated"), film(tmp_path / "given"))
    assert film(tmp_path / "given")[40:, :150].std() > 40


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": []}, ValueError, "`images` must contain at least one image. Received: 0 images$"),
        (
            {"loss": losses.PartialCrossEntropy()},
            TypeError,
            "`loss` must have a sigma_rgb, such as SparseCRF",
        ),
        ({"loss": "crf"}, TypeError, "`loss` must have a sigma_rgb, .* Received: loss='crf'$"),
        ({"epochs": 0}, ValueError, "`epochs` must be an integer of at least 1. Received: epochs=0$"),
        ({"every": 0}, ValueError, "must be an integer .* Received: every=0$"),
        ({"truth": []}, ValueError, "`truth` must have an entry for each of the 1 images. Received: 0"),
        (
            {"object_class": -1},
            ValueError,
            "must be an integer .* Received: object_class=-1$",
        ),
        ({"show": "gray"}, ValueError, "`show` must be one of .* Received: show='gray'$"),
        (
            {"max_images": 0},
            ValueError,
            "must be an integer .* Received: max_images=0$",
        ),
        ({"value_range": (1, 0)}, ValueError, "`value_range` must be two "),
        ({"cell": 3}, ValueError, "`cell` must be an integer of at least 32. Received: cell=3$"),
    ],
)
def test_bad_arguments(tmp_path, change, error, message):
    arguments = {"images": [np.zeros((4, 4, 3))], "loss": losses.SparseCRFLoss(), "directory": tmp_path}
    with pytest.raises(error, match=message):
        AnnealingImages(**{**arguments, **change})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": losses.SparseCRFLoss()}, "loss must be the same object .* another SparseCRFLoss$"),
        ({"object_class": 2}, "must be a class id from 0 to 1. Received: object_class=2$"),
        ({"value_range": (0, 1)}, r"`image` must lie within value_range=\(0, 1\)"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_before_training(task, tmp_path, options, message):
    model, crf = compiled()
    images = AnnealingImages(**{"images": task[0], "loss": crf, "directory": tmp_path / "new", **options})
    images.set_model(model)
    with pytest.raises(ValueError, match=message):
        images.on_train_begin()
    assert not (tmp_path / "new").exists()
