"""The CRF behind an exported segmenter: whether it can go into a file, and what it is called there."""

import keras

from keras_wsseg.layers import MeanFieldCRF


def check_refine(refine, value_range):
    """Refuses what cannot follow a segmenter inside a file.

    Args:
        refine: what the caller gave, not None.
        value_range: `(low, high)` of the segmenter's images.

    Raises:
        TypeError: if it is no `MeanFieldCRF`.
        ValueError: if it looks at all pixels by their color, takes probabilities, or sees another range.
    """
    if not isinstance(refine, MeanFieldCRF):
        raise TypeError(
            "`refine` must be a layers.MeanFieldCRF or None. "
            f"Received: refine={refine!r} of type {type(refine).__name__}"
        )
    if refine.radius is None:
        raise ValueError(
            "`refine` must look at a window, such as MeanFieldCRF(radius=5): fully connected kernels have "
            "operations that ONNX lacks. Received: radius=None"
        )
    if not refine.from_logits:
        raise ValueError("`refine` must take logits, as segmenters give. Received: from_logits=False")
    if tuple(refine.value_range) != tuple(value_range):
        raise ValueError(
            f"`refine` must see the images in the segmenter's value_range={tuple(value_range)}. "
            f"Received: value_range={tuple(refine.value_range)}"
        )


def built_refine(refine, classes, channels):
    """The CRF, built, giving float32: a mixed policy belongs to training, not into the file.

    Args:
        refine: `MeanFieldCRF`.
        classes: channels of the logits.
        channels: of the image.

    Returns:
        The layer itself, or where it gives half precision a copy with the same weights.

    Raises:
        ValueError: if it was built for another number of classes.
    """
    try:
        if refine.compute_dtype != "float32":
            full = MeanFieldCRF.from_config({**refine.get_config(), "dtype": "float32"})
            as_model(full, classes, channels)
            if refine.built:
                full.set_weights(refine.get_weights())
            return full
        as_model(refine, classes, channels)
        return refine
    except ValueError as error:
        raise ValueError(f"`refine` must fit a segmenter of {classes} classes. Received: {error}") from error


def as_model(refine, classes=None, channels=None):
    """The layer as a model `[logits, image]` to logits, which Keras can save."""
    shapes = refine.get_build_config()["input_shape"] if classes is None else None
    classes, channels = (shape[-1] for shape in shapes) if shapes else (classes, channels)
    inputs = [keras.Input((None, None, classes)), keras.Input((None, None, channels))]
    return keras.Model(inputs, refine(inputs))


def describe_refine(refine):
    """One text for the metadata: window, steps and kernels."""
    kernels = "; ".join(
        " ".join(f"{name}={value:g}" for name, value in kernel.get_config().items() if name != "name")
        for kernel in refine.kernels
    )
    side = 2 * refine.radius + 1
    return f"mean field, {side}x{side} window, {refine.iterations} steps, kernels: {kernels}"
