"""The part of a segmenter that can be shared with another branch."""

import keras

_HEAD = "logits"


def feature_extractor(segmenter):
    """A segmenter without its last convolution: from images to features.

    The result shares the layers, so training it also trains the segmenter. It can be used as `backbone` of
    `ReliableRegionMining`.

    Args:
        segmenter: a segmenter of this library, or any functional model with a layer named `logits` that
            computes class scores from features.

    Returns:
        A functional `keras.Model` from the image to features `(batch, h, w, channels)`.

    Raises:
        ValueError: if there is no such layer.

    Example:

    >>> from keras_wsseg.models import UNet
    >>> feature_extractor(UNet(num_classes=4, filters=(8, 16))).output_shape
    (None, None, None, 8)
    """
    names = [layer.name for layer in getattr(segmenter, "layers", [])]
    if _HEAD not in names or not isinstance(segmenter, keras.Model):
        raise ValueError(
            f"segmenter must be a functional model with a layer named {_HEAD!r}. "
            f"Received: {type(segmenter).__name__} with layers {names[-5:]}"
        )
    head = segmenter.get_layer(_HEAD)
    return keras.Model(segmenter.input, head.input, name=f"{segmenter.name}_features")
