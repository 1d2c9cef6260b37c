"""The CRF behind an exported segmenter: whether it can go into a file, and what it is called there."""

import keras

from keras_wsseg.layers import MeanFieldCRF


def check_crf(crf, value_range):
    """Refuses what cannot follow a segmenter inside a file.

    Args:
        crf: what the caller gave, not None.
        value_range: `(low, high)` of the segmenter's images.

    Raises:
        TypeError: if it is no `MeanFieldCRF`.
        ValueError: if it looks at all pixels by their color, takes probabilities, or sees another range.
    """
    if not isinstance(crf, MeanFieldCRF):
        raise TypeError(
            f"`crf` must be a layers.MeanFieldCRF or None. Received: crf={crf!r} of type {type(crf).__name__}"
        )
    if crf.radius is None:
        raise ValueError(
            "`crf` must look at a window, such as MeanFieldCRF(radius=5): fully connected kernels have "
            "operations that ONNX lacks. Received: radius=None"
        )
    if not crf.from_logits:
        raise ValueError("`crf` must take logits, as segmenters give. Received: from_logits=False")
    if tuple(crf.value_range) != tuple(value_range):
        raise ValueError(
            f"`crf` must see the images in the segmenter's value_range={tuple(value_range)}. "
            f"Received: value_range={tuple(crf.value_range)}"
        )


def built_crf(crf, classes, channels):
    """The CRF, built, giving float32: a mixed policy belongs to training, not into the file.

    Args:
        crf: `MeanFieldCRF`.
        classes: channels of the logits.
        channels: of the image.

    Returns:
        The layer itself, or where it gives half precision a copy with the same weights.

    Raises:
        ValueError: if it was built for another number of classes.
    """
    try:
        if crf.compute_dtype != "float32":
            full = MeanFieldCRF.from_config({**crf.get_config(), "dtype": "float32"})
            as_model(full, classes, channels)
            if crf.built:
                full.set_weights(crf.get_weights())
            return full
        as_model(crf, classes, channels)
        return crf
    except ValueError as error:
        raise ValueError(f"`crf` must fit a segmenter of {classes} classes. Received: {error}") from error


def as_model(crf, classes=None, channels=None):
    """The layer as a model `[logits, image]` to logits, which Keras can save."""
    shapes = crf.get_build_config()["input_shape"] if classes is None else None
    classes, channels = (shape[-1] for shape in shapes) if shapes else (classes, channels)
    inputs = [keras.Input((None, None, classes)), keras.Input((None, None, channels))]
    return keras.Model(inputs, crf(inputs))


def describe_crf(crf):
    """One text for the metadata: window, steps and kernels."""
    kernels = "; ".join(
        " ".join(f"{name}={value:g}" for name, value in kernel.get_config().items() if name != "name")
        for kernel in crf.kernels
    )
    side = 2 * crf.radius + 1
    return f"mean field, {side}x{side} window, {crf.iterations} steps, kernels: {kernels}"
