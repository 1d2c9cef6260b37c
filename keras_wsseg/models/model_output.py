"""What a model ends in: logits, or the probabilities that a softmax or sigmoid makes of them."""

import dataclasses

import keras

from keras_wsseg.layers import CropToStride, MeanFieldCRF, ResizeLike, ResizeTo, UpsampleLike

_SOFTMAX = ("softmax", "softmax_v2")
_SIGMOID = ("sigmoid",)
_SQUASHED = ("hard_sigmoid", "sparse_sigmoid", "sparsemax", "log_sigmoid")
# Their results are means of pixels with weights that are not negative: of probabilities, probabilities.
_AVERAGING = (keras.layers.Cropping2D, CropToStride, ResizeLike, ResizeTo, UpsampleLike)
_PASS_THROUGH = (keras.layers.Identity, keras.layers.ActivityRegularization, *_AVERAGING)
_INTERPOLATING = (keras.layers.UpSampling2D, keras.layers.Resizing)


@dataclasses.dataclass(frozen=True)
class ModelOutput:
    """What a model gives.

    Args:
        probabilities: True for probabilities, False for logits, None where the model does not tell.
        layer: the layer or operation that says so, or None.
        dtype: in which that computes, or None.
    """

    probabilities: bool | None = None
    layer: str | None = None
    dtype: str | None = None


def yields_probabilities(model):
    """Whether a model yields probabilities: see `read_output`, of which this is the answer alone."""
    return read_output(model).probabilities


def read_output(model):
    """Looks at the last layers of a model, so that its softmax is not taken a second time.

    Known is what ends in a layer `Softmax`, in an `Activation` or any layer of Keras with an `activation`, or
    in `keras.ops.softmax` or `sigmoid`; also where layers follow that leave it as it is, or that average over
    neighbors, as cropping and bilinear resizing do. Models inside are looked into. Other activations, a ReLU
    for one, are taken as they are: whoever trains them so in Keras has their softmax taken too. A subclassed
    model does not tell, unless it says so by an attribute `yields_probabilities`, as `WeaklySupervisedModel`
    does.

    Args:
        model: `keras.Model`; one that is not built yet does not tell.

    Returns:
        `ModelOutput`. One channel of probabilities is the second of two classes.

    Raises:
        ValueError: if it ends in a sigmoid of several channels, in a softmax over one channel or over another
            axis than the last, or in something else between 0 and 1 that is not the probability of a class.

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
        # A Sequential that is not built has none yet.
        return []


def _read(tensor):
    operation, node, index = tensor._keras_history
    if isinstance(operation, keras.Model):
        inner = _outputs(operation)
        return _read(inner[index]) if inner else read_output(operation)
    given = operation._inbound_nodes[node].input_tensors
    if isinstance(operation, keras.layers.Resizing) and operation.pad_to_aspect_ratio:
        # What is padded is no mean of pixels.
        return ModelOutput()
    if _passes_through(operation, tensor, given):
        return _read(given[0])
    if isinstance(operation, _INTERPOLATING):
        found = _read(given[0])
        if found.probabilities:
            raise ValueError(
                "`segmenter` must not resize probabilities by what leaves the range from 0 to 1, "
                f"as {operation.interpolation} does. Received: {operation.name!r} behind {found.layer!r}"
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
            "`segmenter` must give one class a pixel, by a softmax over the classes or a sigmoid of one "
            f"channel, while a sigmoid of several lets classes overlap. Received: sigmoid of {channels} "
            f"channels in its last layer {name!r}"
        )
    if kind in _SOFTMAX and (channels == 1 or axis not in (-1, len(tensor.shape) - 1)):
        raise ValueError(
            "`segmenter` must take the softmax over its last axis, which holds at least two classes. "
            f"Received: softmax over axis {axis} of shape {tuple(tensor.shape)} in its last layer {name!r}"
        )
    if kind in _SOFTMAX or kind in _SIGMOID:
        return ModelOutput(True, name, dtype)
    return ModelOutput(False, name, dtype) if kind in ("linear", "log_softmax") else ModelOutput()


def _activation(operation):
    """Name and axis of what an operation does last, or two times None."""
    if isinstance(operation, keras.layers.Softmax):
        axis = operation.axis
        return "softmax", axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if isinstance(operation, keras.layers.Layer):
        activation = getattr(operation, "activation", None)
        if isinstance(activation, keras.layers.Layer):
            return _activation(activation)
        kind = _name(activation)
        # A layer of one's own may do more behind a linear activation, or a ReLU, than that.
        certain = type(operation).__module__.partition(".")[0] == "keras" or kind in _SOFTMAX + _SIGMOID
        return (kind if certain else None), -1
    kind = type(operation).__name__.lower()
    return (kind if kind in _SOFTMAX + _SIGMOID else None), getattr(operation, "axis", -1)


def _name(activation):
    return getattr(activation, "__name__", None)
