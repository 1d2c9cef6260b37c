import keras
import numpy as np
import onnxruntime
import oracles
import pytest
from PIL import Image

from keras_wsseg.export import to_onnx
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF

KERNELS = [GaussianKernel(weight=1.0, sigma_xy=2), GaussianKernel(weight=2.0, sigma_xy=5, sigma_rgb=0.2)]


def smooth(size, channels, seed=0, batch=1):
    """Patches of color with soft borders, as photographs have and white noise has not."""
    height, width = size
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (batch, height // 8 + 2, width // 8 + 2, channels))
    fine = np.kron(coarse, np.ones((1, 8, 8, 1)))[:, :height, :width]
    return (fine + rng.uniform(-5, 5, fine.shape)).clip(0, 255).astype("float32")


def inputs(size=(7, 10), channels=3, classes=3, batch=2):
    logits = np.random.default_rng(1).normal(size=(batch, *size, classes)).astype("float32")
    return logits, smooth(size, channels, batch=batch)


@pytest.mark.parametrize("radius", (None, 3))
def test_matches_the_matrices(radius):
    for channels, value_range in ((3, (0, 255)), (1, (-100, 300))):
        logits, image = inputs(channels=channels)
        layer = MeanFieldCRF(radius, KERNELS, value_range=value_range, iterations=2, include_self=False)
        out = np.array(layer([logits, image]))
        unit = (image.astype("float64") - value_range[0]) / (value_range[1] - value_range[0])
        for i in range(2):
            features = [None, unit[i] / 0.2]
            want = oracles.mean_field(
                logits[i], features, [2, 5], [1, 2], radius, None, 2, "symmetric", False
            )
            np.testing.assert_allclose(out[i], want, atol=2e-5)


def test_probabilities_give_the_same_as_their_logits():
    logits, image = inputs()
    probabilities = oracles.softmax(logits)
    want = MeanFieldCRF(2, KERNELS)([logits, image])
    out = MeanFieldCRF(2, KERNELS, from_logits=False)([probabilities, image])
    np.testing.assert_allclose(np.array(out), np.array(want), atol=1e-4)
    certain = np.eye(3, dtype="float32")[logits.argmax(-1)]
    assert np.isfinite(np.array(MeanFieldCRF(2, from_logits=False)([certain, image]))).all()


def test_a_matrix_of_potts_is_potts():
    logits, image = inputs()
    for compatibility in (1 - np.eye(3), "trainable"):
        out = MeanFieldCRF(2, KERNELS, compatibility)([logits, image])
        np.testing.assert_allclose(
            np.array(out), np.array(MeanFieldCRF(2, KERNELS)([logits, image])), atol=1e-4
        )


def test_images_of_a_batch_do_not_meet():
    logits, image = inputs(batch=3)
    for radius in (None, 4):
        layer = MeanFieldCRF(radius, filter_method="auto")
        alone = np.concatenate([np.array(layer([logits[i : i + 1], image[i : i + 1]])) for i in range(3)])
        np.testing.assert_allclose(np.array(layer([logits, image])), alone, rtol=1e-4, atol=1e-4)


def test_computes_in_float32_under_mixed_precision():
    logits, image = inputs()
    settings = {"kernels": KERNELS, "train_kernel_weights": True}
    out = MeanFieldCRF(3, **settings, dtype="mixed_float16")([logits, image])
    assert out.dtype == "float16"
    want = np.array(MeanFieldCRF(3, **settings)([logits, image])).astype("float16")
    np.testing.assert_array_equal(np.array(out), want)


def test_kernels_are_taken_as_they_are_now():
    kernel = GaussianKernel(weight=2.0, sigma_xy=5, sigma_rgb=0.2)
    kernel.anneal("sigma_rgb", 0.4)
    layer = MeanFieldCRF(2, kernel)
    kernel.sigma_rgb = 0.9
    assert layer.kernels[0].sigma_rgb == pytest.approx(0.4)


@pytest.mark.parametrize(
    "settings",
    [
        {"radius": 2, "kernels": KERNELS, "compatibility": "trainable", "train_kernel_weights": True},
        {"compatibility": [[0, 1, 2], [1, 0, 3], [2, 1, 0]], "normalization": "row", "iterations": 2},
        {
            "kernels": KERNELS[0],
            "include_self": False,
            "filter_method": "exact",
            "from_logits": False,
            "seed": 3,
        },
    ],
)
def test_config_and_saved_model(settings, tmp_path):
    layer = MeanFieldCRF(**settings, value_range=(-1, 300), name="crf")
    assert MeanFieldCRF.from_config(layer.get_config()).get_config() == layer.get_config()
    ends = [keras.Input((None, None, 3), name=name) for name in ("logits", "image")]
    model = keras.Model(ends, layer(ends))
    assert model.output_shape == (None, None, None, 3)
    for variable in layer.trainable_variables:
        variable.assign(variable + 0.3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    logits, image = inputs()
    pair = [oracles.softmax(logits), image]
    np.testing.assert_array_equal(np.array(loaded(pair)), np.array(model(pair)))


def segmenter(classes=3, **settings):
    """One convolution and the layer behind it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    logits = keras.layers.Conv2D(classes, 3, padding="same")(scaled)
    return keras.Model(image, MeanFieldCRF(**settings, name="crf")([logits, image]))


@pytest.mark.parametrize("from_logits", (True, False))
def test_one_channel_is_the_log_odds_of_the_second_of_two_classes(from_logits):
    image = smooth((9, 8), 3)
    odds = np.random.default_rng(0).normal(size=(1, 9, 8, 1)).astype("float32")
    one = odds if from_logits else 1 / (1 + np.exp(-odds))
    two = np.concatenate([np.zeros_like(odds) if from_logits else 1 - one, one], axis=-1)
    refined = np.array(MeanFieldCRF(2, KERNELS, from_logits=from_logits)([two, image]))
    found = MeanFieldCRF(2, KERNELS, from_logits=from_logits)([one, image])
    np.testing.assert_allclose(found, refined[..., 1:] - refined[..., :1], atol=1e-5)
    assert np.abs(np.array(found) - odds).max() > 0.1


@pytest.mark.parametrize("radius", (None, 3))
def test_trains_through_its_steps(radius):
    settings = {"compatibility": "trainable", "train_kernel_weights": True, "iterations": 3}
    model = segmenter(radius=radius, kernels=KERNELS, **settings)
    image = smooth((16, 16), 3, batch=4)
    labels = (image[..., 0] > 128).astype("int32") + (image[..., 1] > 128)
    before = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss=loss)
    losses = model.fit(image, labels, epochs=25, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(keras.ops.convert_to_numpy(variable) - old).max() > 0.01, variable.path


def test_kernel_weights_stay_non_negative():
    model = segmenter(radius=1, kernels=KERNELS, train_kernel_weights=True, iterations=1)
    checkers = (np.indices((8, 8)).sum(0) % 2)[None]
    # Neighbors always disagree: smoothing can only do harm.
    image = np.repeat(checkers[..., None] * 40.0, 3, axis=-1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.5), loss=loss)
    model.fit(image, checkers, epochs=12, verbose=0)
    weights = keras.ops.convert_to_numpy(model.get_layer("crf").trainable_variables[0])
    assert weights.min() == 0.0


@pytest.mark.parametrize(
    "settings",
    [
        {"radius": 5},
        {"radius": 3, "normalization": "row", "compatibility": "trainable", "train_kernel_weights": True},
        {"radius": None, "kernels": KERNELS[0]},
    ],
)
def test_exported_segmenter_says_the_same_at_other_sizes(settings, tmp_path):
    model = segmenter(classes=4, **settings)
    to_onnx(model, tmp_path / "crf.onnx", check_sizes=[(24, 16)])
    session = onnxruntime.InferenceSession(str(tmp_path / "crf.onnx"), providers=["CPUExecutionProvider"])
    for size in ((97, 131), (5, 3), (33, 64)):
        image = smooth(size, 3, seed=size[0])
        (out,) = session.run(["probabilities"], {"image": image})
        want = oracles.softmax(np.array(model(image), "float64"))
        np.testing.assert_allclose(out, want, atol=1e-4)


@pytest.mark.parametrize("name", ("1", "2", "3", "1-b"))
def test_agrees_with_the_published_code_on_its_examples(name, real_data):
    """5 steps from drawn labels; the stored images come from the permutohedral lattice."""
    folder = real_data / "crf_examples"
    image = np.array(Image.open(folder / f"im{name[0]}.png"))
    drawn, stored = (
        np.array(Image.open(folder / f"{kind}{name}.png").convert("RGB")) for kind in ("anno", "out")
    )
    colors = [color for color in np.unique(drawn.reshape(-1, 3), axis=0) if color.any()]
    is_drawn, is_stored = (
        np.stack([(labels == color).all(-1) for color in colors], -1) for labels in (drawn, stored)
    )
    certain = np.where(is_drawn, 0.7, 0.3 / (len(colors) - 1))
    unary = np.where(is_drawn.any(-1, keepdims=True), certain, 1 / len(colors))
    refined = MeanFieldCRF(from_logits=False, filter_method="nystrom")([unary[None], image[None]])
    agreement = np.mean(np.array(refined)[0].argmax(-1) == is_stored.argmax(-1))
    assert agreement > 0.99
    assert agreement > np.mean(unary.argmax(-1) == is_stored.argmax(-1))


def test_sizes_that_differ():
    with pytest.raises(ValueError, match=r"\(1, 4, 5\). Received: shape \(1, 8, 10, 3\)"):
        MeanFieldCRF(1)([np.zeros((1, 4, 5, 2)), np.zeros((1, 8, 10, 3))])


def test_sizes_that_differ_at_run_time():
    import tensorflow as tf

    layer = MeanFieldCRF(1)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])] * 2)
    def run(logits, image):
        return layer([logits, image])

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[1,4,5,3\].*\[1,8,10,3\]"):
        run(tf.zeros((1, 4, 5, 3)), tf.zeros((1, 8, 10, 3)))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"radius": 0}, "`radius` must be an integer of at least 1. Received: radius=0"),
        ({"iterations": 1.5}, "`iterations` must be an integer of at least 1. Received: iterations=1.5"),
        ({"normalization": "both"}, "normalization must be one of .* Received: normalization='both'"),
        ({"compatibility": "pots"}, "compatibility must be one of .* Received: compatibility='pots'"),
        ({"compatibility": [[0, 1]]}, r"a square matrix of finite numbers. Received: compatibility="),
        ({"kernels": []}, r"a non-empty list of these. Received: kernels=\[\]"),
        ({"kernels": GaussianKernel(sigma_depth=1)}, "GaussianKernel of sigma_xy and sigma_rgb, or a"),
        ({"value_range": (1, 0)}, "`value_range` must be two finite numbers"),
        (
            {"radius": 2, "filter_method": "nystrom"},
            "windowed kernels are exact. Received: filter_method='nystrom'",
        ),
        (
            {"include_self": False, "filter_method": "nystrom"},
            "own contribution. Received: filter_method='nystrom'",
        ),
        ({"filter_method": "fast"}, "filter_method must be one of .* Received: filter_method='fast'"),
    ],
)
def test_bad_arguments(settings, text):
    with pytest.raises(ValueError, match=text):
        MeanFieldCRF(**settings)


def test_inputs_that_do_not_fit():
    with pytest.raises(ValueError, match=r"a pair \[logits, image\]. Received: shape="):
        MeanFieldCRF(1)(np.zeros((1, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"of shape \(3, 3\) for logits of 3 classes. Received: 2 rows"):
        MeanFieldCRF(1, compatibility=1 - np.eye(2))([np.zeros((1, 4, 4, 3))] * 2)
