"""A dense CRF behind a finished segmenter."""

import keras
import numpy as np
from keras import ops

from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers import MeanFieldCRF
from keras_wsseg.ops.resize import resize_bilinear
from keras_wsseg.training.common_settings import CRFS

LANDMARKS = 256
"""Of a dense CRF: few, so that a whole validation set is scored in minutes."""


class RefinedSegmenter:
    """A segmenter followed by mean-field inference, with the face of a segmenter.

    Args:
        segmenter: a `keras.Model` from picture to logits, or anything with `.probabilities(picture)`, such as
            `export.OnnxSegmenter`.
        crf: a `layers.MeanFieldCRF`.

    Example:
        >>> net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
        >>> refined = RefinedSegmenter(net, build_crf("windowed", (0, 255)))
        >>> refined(np.zeros((4, 6, 1), "uint8")).shape
        (4, 6)
    """

    def __init__(self, segmenter, crf):
        self.segmenter = segmenter
        self.crf = crf

    def __getattr__(self, name):
        if name == "segmenter":
            raise AttributeError(name)
        return getattr(self.segmenter, name)

    def __call__(self, picture):
        """The class of every pixel, `(height, width)` integers."""
        return np.argmax(self.probabilities(picture), axis=-1)

    def probabilities(self, picture):
        """The probability of each class at every pixel, `(height, width, classes)` float32.

        Raises:
            ValueError: if the picture does not lie within the CRF's `value_range`.
        """
        low, high = self.crf.value_range
        if not (picture.min() >= low and picture.max() <= high):
            raise ValueError(
                f"A picture must have values between {low:g} and {high:g}, the value_range of the CRF. "
                f"Received: values from {picture.min():g} to {picture.max():g}"
            )
        if isinstance(self.segmenter, keras.Model):
            logits = self.segmenter.predict_on_batch(np.asarray(picture, "float32")[None])
            logits = resize_bilinear(ops.convert_to_tensor(logits), picture.shape[:2])
            if logits.shape[-1] == 1:
                # The log-odds of the second of two classes.
                logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
        else:
            logits = np.log(np.maximum(self.segmenter.probabilities(picture), 1e-7))[None]
        refined = self.crf([logits, np.asarray(picture, "float32")[None]])
        return ops.convert_to_numpy(ops.softmax(refined, axis=-1))[0]


def build_crf(kind, value_range, xy=None, rgb=None, strength=None, iterations=5):
    """The CRF of the command line's `--crf`.

    Args:
        kind: `"windowed"` (11 x 11 pixels, fast) or `"dense"` (all pixels, as published).
        value_range: the values of black and white in the pictures.
        xy, rgb: widths of the colour kernel in pixels and in colour of a picture in [0, 1]. None: 80 pixels
            (windowed: 6) and 13 / 255.
        strength: weight of the colour kernel; that of the smoothness kernel, 3 pixels wide, is 0.3 of it.
            None: 1 (windowed: 3). The published 10 of a dense one is for unaries out of drawn labels, and
            swamps the softmax of a net.
        iterations: mean-field steps.

    Returns:
        A `layers.MeanFieldCRF`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    if kind not in CRFS[1:]:
        raise ValueError(f"kind must be one of {CRFS[1:]}. Received: kind={kind!r}")
    windowed = kind == "windowed"
    if xy is None:
        xy = 6.0 if windowed else 80.0
    rgb = 13 / 255 if rgb is None else rgb
    if strength is None:
        strength = 3.0 if windowed else 1.0
    kernels = [GaussianKernel(weight=0.3 * strength, xy=3.0), GaussianKernel(weight=strength, xy=xy, rgb=rgb)]
    radius = 5 if windowed else None
    return MeanFieldCRF(radius, kernels, iterations=iterations, value_range=value_range, landmarks=LANDMARKS)
