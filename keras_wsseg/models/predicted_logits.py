"""Logits of one image, of any size, from any segmenter."""

import numpy as np
from keras import ops

from keras_wsseg.models.free_upsampling import free_upsampling
from keras_wsseg.models.model_output import yields_probabilities
from keras_wsseg.ops.class_scores import class_logits, resized_class_logits


def predicted_logits(segmenter, image, probabilities=None, own_grid=False):
    """Logits with one channel for each class, whatever the segmenter ends in.

    Args:
        segmenter: `keras.Model` from image to logits or probabilities.
        image: `(height, width, channels)`.
        probabilities: whether it gives probabilities; None for what its last layers tell.
        own_grid: whether they stay on the segmenter's own grid, where that is coarser than the image.

    Returns:
        `(1, height, width, max(classes, 2))`, float32, of the image's size or on the segmenter's own grid.

    Raises:
        ValueError: if its last layers give neither: see `read_output`.
    """
    if probabilities is None:
        probabilities = yields_probabilities(segmenter)
    # A second size of image is traced as any size.
    with free_upsampling(segmenter):
        prediction = segmenter.predict_on_batch(np.asarray(image, "float32")[None])
    prediction = ops.convert_to_tensor(prediction)
    if own_grid:
        return class_logits(prediction, probabilities)
    return resized_class_logits(prediction, image.shape[:2], probabilities)
