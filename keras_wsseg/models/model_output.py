"""Detects whether a model outputs logits, or probabilities from a softmax or sigmoid."""

import dataclasses

import keras

from keras_wsseg.layers import CropToStride, MeanFieldCRF, ResizeLike, ResizeTo, UpsampleLike

_SOFTMAX = ("softmax", "softmax_v2")
_SIGMOID = ("sigmoid",)
_SQUASHED = ("hard_sigmoid", "sparse_sigmoid", "sparsemax", "log_sigmoid")
# These average pixels with non-negative weights, so probabilities remain probabilities.
_AVERAGING = (keras.layers.Cropping2D, CropToStride, ResizeLike, ResizeTo, UpsampleLike)
_PASS_THROUGH = (keras.layers.Identity, keras.layers.ActivityRegularization, *_AVERAGING)
_INTERPOLATING = (keras.layers.UpSampling2D, keras.layers.Resizing)


@dataclasses.dataclass(frozen=True)
class ModelOutput:
    """The kind of a model's output.

    Args:
        probabilities: True for probabilities, False for logits, None if undetermined.
        layer: the layer or operation that determines it, or None.
        dtype: the dtype of that layer's output, or None.
    """

    probabilities: bool | None = None
    layer: str | None = None
    dtype: str | None = None


def yields_probabilities(model):
    """Whether a model outputs probabilities: the attribute `probabilities` of `read_output`."""
    return read_output(model).probabilities


def read_output(model):
    """Inspects the last layers of a model, so that softmax is not applied twice.

    The output is determined if the model ends in a `Softmax` layer, in an `Activation` or any Keras layer
    with an `activation`, or in `keras.ops.softmax` or `sigmoid`, even if followed by layers that leave values
    unchanged or average over neighbors, such as cropping and bilinear resizing. Nested models are inspected.
    Other activations, such as ReLU, are left undetermined: in Keras, too, a softmax would be applied to
    them. The output of a subclassed model is undetermined unless it has an attribute `yields_probabilities`,
    as does `WeaklySupervisedModel`.

    Args:
        model: `keras.Model`; undetermined if it is not built yet.

    Returns:
        `ModelOutput`. One channel of probabilities is the second of two classes.

    Raises:
        ValueError: if the model ends in a sigmoid of several channels, in a softmax over one channel or over
            an axis other than the last, or in other values between 0 and 1 that are not class probabilities.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> read_output(keras.Model(image, keras.layers.Conv2D(4, 1, activation="softmax", name="head")(image)))
    ModelOutput(probabilities=True, layer='head', dtype='float32')
    """
    said = getattr(model, "yields_probabilities", None)
    if said is not None:
        return ModelOutput(bool(said), model.name)
    outputs = _outputs(model)
    return _read(outputs[0]) if len(outputs) == 1 else ModelOutput()


def _outputs(model):
    try:
        return list(getattr(model, "outputs", None) or ())
    except AttributeError:
        # An unbuilt Sequential has no outputs yet.
        return []


def _read(tensor):
    operation, node, index = tensor._keras_history
    if isinstance(operation, keras.Model):
        inner = _outputs(operation)
        return _read(inner[index]) if inner else read_output(operation)
    given = operation._inbound_nodes[node].input_tensors
    if isinstance(operation, keras.layers.Resizing) and operation.pad_to_aspect_ratio:
        # Padding is not an average of pixels.
        return ModelOutput()
    if _passes_through(operation, tensor, given):
        return _read(given[0])
    if isinstance(operation, _INTERPOLATING):
        found = _read(given[0])
        if found.probabilities:
            raise ValueError(
                "`segmenter` must not resize probabilities by an interpolation that can leave the range from "
                f"0 to 1, such as {operation.interpolation}. "
                f"Received: {operation.name!r} after {found.layer!r}"
            )
        return found
    if isinstance(operation, MeanFieldCRF):
        return ModelOutput(False, operation.name, operation.compute_dtype)
    return _kind_of_output(operation, tensor)


def _passes_through(operation, tensor, given):
    if isinstance(operation, _PASS_THROUGH):
        return True
    if isinstance(operation, keras.layers.Activation):
        return _name(operation.activation) == "linear"
    if isinstance(operation, keras.layers.Reshape):
        return tensor.shape[-1] is not None and tensor.shape[-1] == given[0].shape[-1]
    return isinstance(operation, _INTERPOLATING) and operation.interpolation in ("nearest", "bilinear")


def _kind_of_output(operation, tensor):
    kind, axis = _activation(operation)
    if kind is None:
        return ModelOutput()
    channels = tensor.shape[-1]
    name, dtype = operation.name, keras.backend.standardize_dtype(tensor.dtype)
    if kind in _SQUASHED:
        raise ValueError(
            "`segmenter` must end in logits, a softmax over the classes, or a sigmoid of one channel. "
            f"Received: {kind} in its last layer {name!r}"
        )
    if kind in _SIGMOID and channels != 1:
        raise ValueError(
            "`segmenter` must assign one class per pixel, by a softmax over the classes or a sigmoid of one "
            f"channel, since a sigmoid of several channels lets classes overlap. Received: sigmoid of "
            f"{channels} channels in its last layer {name!r}"
        )
    if kind in _SOFTMAX and (channels == 1 or axis not in (-1, len(tensor.shape) - 1)):
        raise ValueError(
            "`segmenter` must apply softmax over its last axis, with at least two classes. "
            f"Received: softmax over axis {axis} of shape {tuple(tensor.shape)} in its last layer {name!r}"
        )
    if kind in _SOFTMAX or kind in _SIGMOID:
        return ModelOutput(True, name, dtype)
    return ModelOutput(False, name, dtype) if kind in ("linear", "log_softmax") else ModelOutput()


def _activation(operation):
    """Name and axis of an operation's final activation; the name is None if it is not known."""
    if isinstance(operation, keras.layers.Softmax):
        axis = operation.axis
        return "softmax", axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if isinstance(operation, keras.layers.Layer):
        activation = getattr(operation, "activation", None)
        if isinstance(activation, keras.layers.Layer):
            return _activation(activation)
        kind = _name(activation)
        # A custom layer may apply further operations after a linear activation or a ReLU.
        certain = type(operation).__module__.partition(".")[0] == "keras" or kind in _SOFTMAX + _SIGMOID
        return (kind if certain else None), -1
    kind = type(operation).__name__.lower()
    return (kind if kind in _SOFTMAX + _SIGMOID else None), getattr(operation, "axis", -1)


def _name(activation):
    return getattr(activation, "__name__", None)
