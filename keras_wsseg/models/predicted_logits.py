"""Logits of one picture, of any size, from any segmenter."""

import numpy as np
from keras import ops

from keras_wsseg.models.free_upsampling import free_upsampling
from keras_wsseg.models.model_output import yields_probabilities
from keras_wsseg.ops.class_scores import class_logits


def predicted_logits(segmenter, picture, probabilities=None):
    """Logits with one channel for each class, whatever the segmenter ends in.

    Args:
        segmenter: `keras.Model` from picture to logits or probabilities.
        picture: `(height, width, channels)`.
        probabilities: whether it gives probabilities; None for what its last layers tell.

    Returns:
        `(1, h, w, max(classes, 2))`, float32, on the segmenter's own grid.

    Raises:
        ValueError: if its last layers give neither: see `read_output`.
    """
    if probabilities is None:
        probabilities = yields_probabilities(segmenter)
    # A second size of picture is traced as any size.
    with free_upsampling(segmenter):
        prediction = segmenter.predict_on_batch(np.asarray(picture, "float32")[None])
    return class_logits(ops.convert_to_tensor(prediction), probabilities)
