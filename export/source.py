"""Inspects a Keras model: its segmenter, the images it takes, its range and precision."""

import dataclasses
import re

import keras

from keras_wsseg.models.model_output import yields_probabilities

# How Keras begins the message of an error in a layer, before the error itself in bold.
_IN_A_LAYER = "Exception encountered when calling "
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


@dataclasses.dataclass(frozen=True)
class ImageShape:
    """The images a segmenter takes; None stands for any batch, height or width.

    Args:
        batch: batch size, or None.
        height: pixels, or None.
        width: pixels, or None.
        channels: 1 for gray, 3 for RGB, or more.
    """

    batch: int | None
    height: int | None
    width: int | None
    channels: int


def find_segmenter(model):
    """The segmenter of a training model, or the model itself if it is a segmenter.

    Args:
        model: `keras.Model` from image to logits or probabilities, or one that holds such a model as
            `segmenter`.

    Returns:
        `keras.Model`.

    Raises:
        TypeError: if neither is a `keras.Model`.
    """
    segmenter = getattr(model, "segmenter", model)
    if not isinstance(segmenter, keras.Model):
        raise TypeError(
            "`segmenter` must be a keras.Model from image to logits, or a model that holds one as "
            f"`segmenter`. Received: segmenter={segmenter!r} of type {type(segmenter).__name__}"
        )
    return segmenter


def find_probabilities(model):
    """Whether the segmenter outputs probabilities rather than logits.

    Args:
        model: as in `find_segmenter`; a training model may infer from its losses what its segmenter outputs.

    Returns:
        True or False, or None if this cannot be determined.

    Raises:
        ValueError: if its output is neither, see `models.model_output.read_output`.
    """
    found = yields_probabilities(model)
    return yields_probabilities(find_segmenter(model)) if found is None else found


def find_value_range(model):
    """The range of pixel values that a model declares, its own or that of its first layer with one.

    Args:
        model: `keras.Model`.

    Returns:
        `(low, high)`, or None where nothing declares a range.
    """
    for part in (model, getattr(model, "segmenter", None), *all_layers(find_segmenter(model))):
        value_range = getattr(part, "value_range", None)
        if isinstance(value_range, dict):
            value_range = value_range.get("image")
        if value_range is not None:
            low, high = value_range
            return float(low), float(high)
    return None


def all_layers(model):
    """Every layer of a model, including those nested in its models and layers.

    Args:
        model: `keras.Model`.

    Yields:
        `keras.layers.Layer`.
    """
    # The public `layers` does not descend into custom layers that contain others.
    yield from model._flatten_layers(include_self=False)


def image_shape(segmenter):
    """The images that a segmenter takes.

    Args:
        segmenter: `keras.Model`, built.

    Returns:
        `ImageShape`. A subclassed model does not declare its sizes, so they are free.

    Raises:
        ValueError: if it is not built, or takes anything but one channels-last image with a known number of
            channels.
    """
    if not segmenter.built:
        raise ValueError(
            "`segmenter` must be built: call it once on an image. "
            f"Received: segmenter={segmenter.name} which was never called"
        )
    inputs = getattr(segmenter, "inputs", None)
    if inputs:
        shapes = [tuple(tensor.shape) for tensor in inputs]
    else:
        shape = (segmenter.get_build_config() or {}).get("input_shape")
        shapes = [(None, None, None, shape[-1])] if _is_rank_4(shape) else [shape]
    if len(shapes) != 1 or not _is_rank_4(shapes[0]) or shapes[0][-1] is None:
        raise ValueError(
            "`segmenter` must take one image (batch, height, width, channels) with a known number of "
            f"channels. Received: inputs of shape {shapes}"
        )
    return ImageShape(*shapes[0])


def in_float32(segmenter):
    """The segmenter in float32: mixed precision is for training, not for the file.

    Args:
        segmenter: `keras.Model`.

    Returns:
        The segmenter itself if every layer already computes in float32, else a copy with the same weights.

    Raises:
        ValueError: if it cannot be rebuilt from its configuration.
    """
    if not _halves(segmenter):
        return segmenter
    policy = keras.config.dtype_policy()
    try:
        # Custom layers create their sublayers under the current policy, which is still that of the training.
        keras.config.set_dtype_policy("float32")
        config = keras.saving.serialize_keras_object(segmenter)
        copy = keras.saving.deserialize_keras_object(_with_float32(config), safe_mode=False)
        if not copy.built:
            copy.build(segmenter.get_build_config()["input_shape"])
        copy.set_weights(segmenter.get_weights())
        if _halves(copy):
            raise TypeError(f"{', '.join(_halves(copy))} set half precision themselves")
    except Exception as error:
        raise ValueError(
            "`segmenter` computes in half precision and cannot be rebuilt in float32 from its configuration. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    return copy


def first_line(error):
    """The first non-empty line; for an error inside a layer the layer and its message.

    Args:
        error: exception, or its text.

    Returns:
        Text without line breaks.

    >>> first_line("Exception encountered when calling Pool.call().\\n\\n\\x1b[1mToo small.\\x1b[0m\\n")
    'Pool.call(): Too small.'
    """
    lines = [line.strip() for line in _COLORS.sub("", str(error)).splitlines()]
    first, second, *_ = (*(line for line in lines if line), "", "")
    if first.startswith(_IN_A_LAYER) and second:
        return f"{first.removeprefix(_IN_A_LAYER).rstrip('.')}: {second}"
    return first or type(error).__name__


def _halves(segmenter):
    layers = (segmenter, *all_layers(segmenter))
    return [layer.name for layer in layers if layer.compute_dtype in ("float16", "bfloat16")]


def _is_rank_4(shape):
    return isinstance(shape, list | tuple) and len(shape) == 4


def _with_float32(config):
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {**config["config"], "name": "float32"}}
        halves = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
        return {
            key: "float32" if key == "dtype" and value in halves else _with_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_with_float32(item) for item in config)
    return config
