"""A dense CRF behind a finished segmenter."""

import keras
import numpy as np
from keras import ops

from keras_wsseg.models.predicted_logits import predicted_logits


class RefinedSegmenter:
    """A segmenter followed by mean-field inference, with the face of a segmenter.

    Args:
        segmenter: a `keras.Model` from image to logits or probabilities, or anything with
            `.probabilities(image)`, such as `export.OnnxSegmenter`.
        crf: a `layers.MeanFieldCRF`.

    Example:
        >>> from keras_wsseg.layers import crf_preset
        >>> net = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
        >>> refined = RefinedSegmenter(net, crf_preset("windowed"))
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

    def __call__(self, image):
        """The class of every pixel, `(height, width)` integers."""
        return np.argmax(self.probabilities(image), axis=-1)

    def probabilities(self, image):
        """The probability of each class at every pixel, `(height, width, classes)` float32.

        Raises:
            ValueError: if the image does not lie within the CRF's `value_range`.
        """
        low, high = self.crf.value_range
        if not (image.min() >= low and image.max() <= high):
            raise ValueError(
                f"An image must have values between {low:g} and {high:g}, the value_range of the CRF. "
                f"Received: values from {image.min():g} to {image.max():g}"
            )
        if isinstance(self.segmenter, keras.Model):
            logits = predicted_logits(self.segmenter, image)
        else:
            logits = np.log(np.maximum(self.segmenter.probabilities(image), 1e-7))[None]
        refined = self.crf([logits, np.asarray(image, "float32")[None]])
        return ops.convert_to_numpy(ops.softmax(refined, axis=-1))[0]
