import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_wsseg import WeaklySupervisedModel, losses, metrics
from keras_wsseg.models.free_upsampling import free_upsampling


def net(interpolation="bilinear", factor=(2, 3), subclassed=False):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((None, None, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, strides=factor, padding="same", activation="relu"),
        keras.layers.UpSampling2D(factor, interpolation=interpolation, name="up"),
        keras.layers.Conv2D(3, 3, padding="same"),
    ]
    return Subclassed(layers) if subclassed else keras.Sequential(layers)


class Doubled(keras.layers.Layer):
    """A layer of one's own that resizes as Keras does."""

    def call(self, x):
        return keras.ops.image.resize(x, (2 * keras.ops.shape(x)[1], 8))

    def compute_output_shape(self, shape):
        return (shape[0], None, 8, shape[3])


class Subclassed(keras.Model):
    def __init__(self, layers):
        super().__init__()
        self.steps = layers[1:]

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return x


def images(height, width, count=4):
    x = np.random.default_rng(0).uniform(0, 255, (count, height, width, 3)).astype("float32")
    return x, (x[..., 0] > 128).astype("int64")


def traced(model):
    signature = [tf.TensorSpec((None, None, None, 3))]
    return tf.function(lambda x: model(x), input_signature=signature, autograph=False)


@pytest.mark.parametrize("subclassed", (False, True))
@pytest.mark.parametrize("factor", ((2, 3), (4, 1)))
def test_values_at_sizes_known_only_at_run_time_are_those_of_keras(factor, subclassed):
    model = net(factor=factor, subclassed=subclassed)
    with free_upsampling(model):
        run = traced(model).get_concrete_function()
    for height, width in ((8, 12), (12, 6), (4, 3)):
        x, _ = images(height, width)
        np.testing.assert_allclose(run(x), model(x), atol=1e-6)


@pytest.mark.parametrize("size", ((8, 12), (None, 12), (None, None)))
def test_nearest_layers_keep_what_is_known_of_the_size_where_the_batch_is_free(size):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.UpSampling2D((2, 3))(image))
    run = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((None, *size, 3))], autograph=False)
    with free_upsampling(model):
        run = run.get_concrete_function()
    if None not in size:
        assert run.outputs[0].shape == (None, 16, 36, 3)
    x, _ = images(8, 12)
    np.testing.assert_array_equal(run(x), model(x))


def test_layers_are_left_as_they_were():
    model = net()
    up = model.get_layer("up")
    x, _ = images(8, 12)
    want = model(x)
    with free_upsampling(model), free_upsampling(model):
        np.testing.assert_array_equal(model(x), want)
    assert "call" not in vars(up)
    with pytest.raises(RuntimeError, match="on the way"), free_upsampling(model):
        raise RuntimeError("on the way")
    assert "call" not in vars(up)


def test_one_of_two_threads_that_ends_first_takes_nothing_from_the_other():
    model = net()
    inside, done = threading.Event(), threading.Event()

    def other():
        with free_upsampling(model):
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    with free_upsampling(model):
        thread.start()
        assert inside.wait(10)
    traced(model).get_concrete_function()
    done.set()
    thread.join()
    assert "call" not in vars(model.get_layer("up"))


@pytest.mark.parametrize("subclassed", (False, True))
def test_a_brought_model_trains_on_crops_and_is_validated_at_other_sizes(subclassed):
    segmenter = net(subclassed=subclassed)
    model = WeaklySupervisedModel(segmenter)
    model.compile("sgd", loss=losses.PartialCrossEntropy(), metrics=[metrics.MeanIoU(3)])
    crops = tf.data.Dataset.from_tensors(images(8, 12))
    whole = [images(*size, count=1) for size in ((16, 12), (10, 18))]
    spec = (tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, None, None), tf.int64))
    validation = tf.data.Dataset.from_generator(lambda: iter(whole), output_signature=spec)
    history = model.fit(crops, validation_data=validation, verbose=0).history
    energies = [float(losses.PartialCrossEntropy()(y, segmenter(x))) for x, y in whole]
    assert history["val_loss"][0] == pytest.approx(np.mean(energies), rel=1e-5)
    for x, _ in whole:
        np.testing.assert_allclose(model.predict(x, verbose=0), segmenter(x), atol=1e-5)


def test_other_interpolations_name_the_way_out():
    model = WeaklySupervisedModel(net("bicubic"))
    x, _ = images(8, 12)
    text = "dynamic image sizes.* pass `size` to an export.* Received: 'up' of bicubic interpolation"
    with pytest.raises(ValueError, match=text):
        traced(model).get_concrete_function()
    assert model.predict(x, verbose=0).shape == (4, 8, 12, 3)
    image = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=r"dynamic image sizes.* calling Doubled.call\(\)"):
        traced(WeaklySupervisedModel(keras.Model(image, Doubled()(image)))).get_concrete_function()
