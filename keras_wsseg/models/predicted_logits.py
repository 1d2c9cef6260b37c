"""Logits of one picture, of any size, from any segmenter."""

import numpy as np
from keras import ops

from keras_wsseg.models.free_upsampling import free_upsampling
from keras_wsseg.models.model_output import yields_probabilities
from keras_wsseg.ops.class_scores import class_logits, resized_class_logits


def predicted_logits(segmenter, picture, probabilities=None, own_grid=False):
    """Logits with one channel for each class, whatever the segmenter ends in.

    Args:
        segmenter: `keras.Model` from picture to logits or probabilities.
        picture: `(height, width, channels)`.
        probabilities: whether it gives probabilities; None for what its last layers tell.
        own_grid: whether they stay on the segmenter's own grid, where that is coarser than the picture.

    Returns:
        `(1, height, width, max(classes, 2))`, float32, of the picture's size or on the segmenter's own grid.

    Raises:
        ValueError: if its last layers give neither: see `read_output`.
    """
    if probabilities is None:
        probabilities = yields_probabilities(segmenter)
    # A second size of picture is traced as any size.
    with free_upsampling(segmenter):
        prediction = segmenter.predict_on_batch(np.asarray(picture, "float32")[None])
    prediction = ops.convert_to_tensor(prediction)
    if own_grid:
        return class_logits(prediction, probabilities)
    return resized_class_logits(prediction, picture.shape[:2], probabilities)
