"""Models that people bring: with a last activation, and what Keras itself says of them."""

import keras
import numpy as np

# Each name with its last activation and channels.
ENDINGS = {"softmax": ("softmax", 4), "softmax of two": ("softmax", 2), "sigmoid": ("sigmoid", 1)}


def brought(name, upsampling=None):
    """A small segmenter of the image's size, sure of some pixels and torn at others."""
    activation, classes = ENDINGS[name]
    keras.utils.set_random_seed(0)
    wide = keras.initializers.RandomNormal(0, 3.0)
    layers = [
        keras.Input((None, None, 3)),
        keras.layers.Rescaling(1 / 127.5, offset=-1.0),
        keras.layers.Conv2D(8, 3, strides=2 if upsampling else 1, padding="same", activation="relu"),
        *([keras.layers.UpSampling2D(2, interpolation=upsampling, name="up")] if upsampling else []),
        keras.layers.Conv2D(classes, 3, padding="same", kernel_initializer=wide, activation=activation),
    ]
    return keras.Sequential(layers)


def keras_says(segmenter, image):
    """Probabilities of each class, by the model's own `predict`."""
    p = segmenter.predict(image, verbose=0)
    return np.concatenate([1 - p, p], -1) if p.shape[-1] == 1 else p


def assert_said(probabilities, classes, expected):
    """A file says what Keras says, of pixels that are sure too, and of more than one class."""
    assert expected.max() > 0.999 and expected.argmax(-1).std() > 0.1
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert (classes == expected.argmax(-1)).mean() >= 0.999
