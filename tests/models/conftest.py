"""What every segmenter has to pass, whatever its architecture."""

import keras
import numpy as np
import pytest
import ways


@pytest.fixture
def make_images():
    """Random images in [0, 255] as float32."""

    def make(height=33, width=41, channels=3, batch=2):
        return np.random.default_rng(0).uniform(0, 255, (batch, height, width, channels)).astype("float32")

    return make


@pytest.fixture
def randomize():
    """Gives a model weights that no initialization has: nothing is zero, one or symmetric."""

    def randomize(model):
        generator = np.random.default_rng(1)
        for variable in model.weights:
            if "seed" in variable.path:
                continue
            value = generator.uniform(0.5, 1.5, variable.shape)
            if variable.path.endswith("kernel"):
                value = (value - 1) * np.sqrt(8 / np.prod(variable.shape[:-1]))
            variable.assign(value)
        return model

    return randomize


@pytest.fixture
def check_saves(tmp_path, make_images, randomize):
    """A `.keras` file and the config alone both rebuild the model."""

    def check(model):
        randomize(model)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        expected = np.asarray(model(make_images()))
        np.testing.assert_allclose(loaded(make_images()), expected, atol=1e-5)
        rebuilt = keras.Model.from_config(model.get_config())
        rebuilt.set_weights(model.get_weights())
        np.testing.assert_allclose(rebuilt(make_images()), expected, atol=1e-5)
        assert len(loaded.losses) == len(model.losses)

    return check


@pytest.fixture
def check_sizes(make_images):
    """Any size, rounded up; 8-bit images give what the same numbers as floats give."""

    def check(model, output_stride=1):
        classes = model.output.shape[-1]
        # XLA would compile each size for seconds.
        model.compile(run_eagerly=True)
        for height, width in [(33, 41), (1, 5), (97, 131)]:
            images = make_images(height, width, model.input.shape[-1]).astype("uint8")
            logits = model.predict(images, verbose=0)
            assert logits.shape == (2, -(-height // output_stride), -(-width // output_stride), classes)
            assert logits.dtype == np.float32 and np.isfinite(logits).all()
        as_floats = model.predict(images.astype("float32"), verbose=0)
        np.testing.assert_array_equal(as_floats, logits)

    return check


@pytest.fixture
def check_learns(make_images):
    """Some steps on one batch lower the loss, and every trainable weight moves."""

    def check(model, stride=1, **compile_arguments):
        images = make_images()
        labels = (images[:, ::stride, ::stride, 0] > 128).astype("int32")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss, **compile_arguments)
        before = [variable.numpy() for variable in model.trainable_variables]
        history = model.fit(images, labels, epochs=5, verbose=0).history["loss"]
        assert history[-1] < history[0]
        for variable, old in zip(model.trainable_variables, before, strict=True):
            assert np.abs(variable.numpy() - old).max() > 0, variable.path

    return check


@pytest.fixture
def check_exports(tmp_path, make_images, randomize):
    """The ONNX file gives the same logits at sizes that were not there on export."""
    ort = pytest.importorskip("onnxruntime")

    def check(model):
        randomize(model)
        model(make_images())
        model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
        session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        (only_input,) = session.get_inputs()
        for height, width, batch in [(33, 41, 2), (20, 16, 1), (1, 5, 3)]:
            images = make_images(height, width, model.input.shape[-1], batch)
            (logits,) = session.run(None, {only_input.name: images})
            expected = np.asarray(model(images))
            np.testing.assert_allclose(logits, expected, atol=1e-4 * max(1, np.abs(expected).max()))

    return check


@pytest.fixture
def mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def check_logits(make_images, randomize):
    """Logits of weights that every backend draws alike are those that were found on TensorFlow."""

    def check(model, expected):
        logits = randomize(model).predict(make_images(), verbose=0)
        np.testing.assert_allclose(ways.fingerprint(logits), expected, atol=3e-5 * expected[0])

    return check


@pytest.fixture
def check_weight_decay():
    """The penalties' gradient is `weight_decay * w` on each convolution kernel and nothing elsewhere."""
    import tensorflow as tf

    def check(model, weight_decay):
        with tf.GradientTape() as tape:
            penalty = tf.add_n(model.losses)
        gradients = tape.gradient(penalty, [variable.value for variable in model.trainable_variables])
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            if variable.path.endswith("kernel"):
                np.testing.assert_allclose(gradient, weight_decay * variable.numpy(), rtol=1e-5)
            else:
                assert gradient is None, variable.path

    return check
