"""A segmenter for images of any size, from one trained at a single size."""

import keras

from keras_wsseg.layers import ResizeLike, ResizeTo
from keras_wsseg.models.blocks import check_at_least
from keras_wsseg.models.weakly_supervised import WeaklySupervisedModel

_RESIZE = "input_size"
_FORMER_RESIZE = "working_size"
"""Its name in models saved by version 0.1."""


def with_input_size(segmenter, size, name=None):
    """Wraps a segmenter with resizing to its input size, and of the logits back to the image's size.

    A network trained on whole images resized to 128x128 handles objects at that scale only. The wrapper
    resizes images of any size as `ResizeTo` does and resizes the logits bilinearly back to the image's size,
    so that a deployed file requires no separate preprocessing, and losses and metrics use image and labels at
    full size. Images of exactly `size` are unchanged.

    Args:
        segmenter: a functional `keras.Model` from one image `(batch, height, width, channels)` to logits
            `(batch, h, w, classes)`, or the `WeaklySupervisedModel` that trained it. An existing input size
            is replaced, so that training can continue at a higher resolution.
        size: input size in pixels, one number for a square, or `(height, width)`.
        name: name of the model; None for that of the segmenter.

    Returns:
        A functional `keras.Model` from `(batch, any_height, any_width, channels)` to float32 logits of the
        image's size. It shares its weights with `segmenter`: training one also trains the other.

    Raises:
        TypeError: if `segmenter` is not such a model.
        ValueError: if `size` is not one or two positive integers, or the segmenter has a different fixed
            size.

    Example:

    >>> from keras_wsseg import models
    >>> deployed = with_input_size(models.UNet(2, filters=(4, 8)), 16)
    >>> deployed.compute_output_shape((1, 97, 131, 3))
    (1, 97, 131, 2)
    """
    height, width = _parse_size(size)
    segmenter = _without_input_size(segmenter)
    image = segmenter.inputs[0].shape
    if any(fixed not in (None, n) for fixed, n in zip(image[1:3], (height, width), strict=True)):
        raise ValueError(
            f"`size` must be the fixed input size of the segmenter, {tuple(image[1:3])}. "
            f"Received: size={(height, width)}"
        )
    # In half precision, 16-bit images would overflow before the segmenter normalizes them.
    inputs = keras.Input((None, None, image[-1]), dtype="float32", name="image")
    resized = ResizeTo(height, width, dtype="float32", name=_RESIZE)(inputs)
    logits = ResizeLike(dtype="float32", name=f"{_RESIZE}_undone")(segmenter(resized), inputs)
    return keras.Model(inputs, logits, name=segmenter.name if name is None else name)


def _parse_size(size):
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sizes) != 2:
        raise ValueError(f"`size` must be one number or (height, width). Received: size={size}")
    for pixels in sizes:
        check_at_least(1, size=pixels)
    return tuple(int(pixels) for pixels in sizes)


def _without_input_size(model):
    segmenter = model.segmenter if isinstance(model, WeaklySupervisedModel) else model
    inputs = getattr(segmenter, "inputs", None) if isinstance(segmenter, keras.Model) else None
    if not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise TypeError(
            "`segmenter` must be a functional keras.Model from one image (batch, height, width, channels). "
            f"Received: segmenter={model!r}"
        )
    if any(
        isinstance(layer, ResizeTo) and layer.name in (_RESIZE, _FORMER_RESIZE) for layer in segmenter.layers
    ):
        return next(layer for layer in segmenter.layers if isinstance(layer, keras.Model))
    return segmenter
