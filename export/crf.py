"""The CRF after an exported segmenter: whether it can be exported, and its description in the file."""

import keras

from keras_wsseg.layers import MeanFieldCRF


def check_crf(crf, value_range):
    """Rejects a CRF that cannot follow a segmenter inside a file.

    Args:
        crf: the caller's argument, not None.
        value_range: `(low, high)` of the segmenter's images.

    Raises:
        TypeError: if it is not a `MeanFieldCRF`.
        ValueError: if it is fully connected, takes probabilities, or has another value range.
    """
    if not isinstance(crf, MeanFieldCRF):
        raise TypeError(
            f"`crf` must be a layers.MeanFieldCRF or None. Received: crf={crf!r} of type {type(crf).__name__}"
        )
    if crf.radius is None:
        raise ValueError(
            "`crf` must have a local window, such as MeanFieldCRF(radius=5): fully connected kernels use "
            "operations that ONNX lacks. Received: radius=None"
        )
    if not crf.from_logits:
        raise ValueError("`crf` must take logits, which segmenters output. Received: from_logits=False")
    if tuple(crf.value_range) != tuple(value_range):
        raise ValueError(
            f"`crf` must have the segmenter's value_range={tuple(value_range)}. "
            f"Received: value_range={tuple(crf.value_range)}"
        )


def built_crf(crf, classes, channels):
    """The CRF, built and in float32: a mixed-precision policy is for training, not for the file.

    Args:
        crf: `MeanFieldCRF`.
        classes: channels of the logits.
        channels: of the image.

    Returns:
        The layer itself, or if it computes in half precision a copy with the same weights.

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
    """A description for the metadata: window, steps and kernels."""
    kernels = "; ".join(
        " ".join(f"{name}={value:g}" for name, value in kernel.get_config().items() if name != "name")
        for kernel in crf.kernels
    )
    side = 2 * crf.radius + 1
    return f"mean field, {side}x{side} window, {crf.iterations} steps, kernels: {kernels}"
