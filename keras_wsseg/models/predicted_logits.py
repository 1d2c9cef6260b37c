"""Logits of one image, of any size, from any segmenter."""

import numpy as np
from keras import ops

from keras_wsseg.models.free_upsampling import free_upsampling
from keras_wsseg.models.model_output import yields_probabilities
from keras_wsseg.ops.class_scores import class_logits, resized_class_logits


def predicted_logits(segmenter, image, probabilities=None, own_grid=False):
    """Logits with one channel per class, from a segmenter that outputs logits or probabilities.

    Args:
        segmenter: `keras.Model` from image to logits or probabilities.
        image: `(height, width, channels)`.
        probabilities: whether the segmenter outputs probabilities; None to detect it from its last layers.
        own_grid: whether to keep the segmenter's output grid if it is coarser than the image.

    Returns:
        `(1, height, width, max(classes, 2))`, float32, of the image's size or on the segmenter's output grid.

    Raises:
        ValueError: if the segmenter outputs neither: see `read_output`.
    """
    if probabilities is None:
        probabilities = yields_probabilities(segmenter)
    # From the second image size on, Keras traces with dynamic sizes.
    with free_upsampling(segmenter):
        prediction = segmenter.predict_on_batch(np.asarray(image, "float32")[None])
    prediction = ops.convert_to_tensor(prediction)
    if own_grid:
        return class_logits(prediction, probabilities)
    return resized_class_logits(prediction, image.shape[:2], probabilities)
