"""The part of a segmenter that another branch may share."""

import keras

_HEAD = "logits"


def feature_extractor(segmenter):
    """All of a segmenter but its last convolution: from images to features.

    The result shares the layers, so that training it trains the segmenter. It serves as `backbone` of
    `ReliableRegionMining`.

    Args:
        segmenter: one of this library, or any functional model with a layer of the name `logits` that makes
            class scores out of features.

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
