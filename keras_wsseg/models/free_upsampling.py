"""`UpSampling2D` in graphs with dynamic image size or batch size."""

import collections
import contextlib
import threading

import keras
from keras import ops

from keras_wsseg.ops.resize import resize_bilinear


class FixedSizeNeeded(ValueError):
    """Raised for a layer that fails at a dynamic image size; the message lists remedies."""


_lock = threading.Lock()
_users = collections.Counter()


@contextlib.contextmanager
def free_upsampling(model):
    """Makes a model's bilinear and nearest `UpSampling2D` layers work in every graph while it is active.

    In a TensorFlow graph, the bilinear resizing of Keras fails at a dynamic height or width: a model trained
    on crops then fails at the first validation image, and on export. Here such layers use `resize_bilinear`,
    which has the same half-pixel centers; at static sizes the layers are unchanged.

    Nearest layers repeat pixels, after which TensorFlow loses the static height and width if the batch size
    is dynamic; LiteRT's convolutions require them. They are restored by a reshape.

    Args:
        model: `keras.Model`, including subclassed models.

    Yields:
        None.

    Raises:
        FixedSizeNeeded: if another layer fails at a dynamic size, such as bicubic `UpSampling2D`.
    """
    layers = [layer for layer in model._flatten_layers(include_self=False) if _needs_free_size(layer)]
    with _lock:
        for layer in layers:
            # The replicas of a distribution strategy trace the model in several threads.
            _users[id(layer)] += 1
            layer.call = _any_size(layer) if layer.interpolation == "bilinear" else _same_size(layer)
    try:
        yield
    except TypeError as error:
        if type(error).__name__ != "OperatorNotAllowedInGraphError":
            raise
        raise FixedSizeNeeded(
            "`segmenter` must consist of layers that support dynamic image sizes, such as bilinear and "
            "nearest UpSampling2D, or be used at one fixed size: pass `size` to an export, train and "
            "validate on crops or with `models.with_input_size`, or compile with run_eagerly=True. "
            f"Received: {_failed(model, error)}"
        ) from error
    finally:
        with _lock:
            for layer in layers:
                _users[id(layer)] -= 1
                if not _users[id(layer)]:
                    del layer.call, _users[id(layer)]


def _needs_free_size(layer):
    # Subclasses are excluded, since they may resize differently.
    return (
        type(layer) is keras.layers.UpSampling2D
        and layer.interpolation in ("bilinear", "nearest")
        and layer.data_format == "channels_last"
    )


def _failed(model, error):
    others = [
        f"{layer.name!r} of {layer.interpolation} interpolation"
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.UpSampling2D)
        and layer.interpolation != "nearest"
        and not _needs_free_size(layer)
    ]
    return ", ".join(others) or next(line for line in str(error).splitlines() if line.strip())


def _any_size(layer):
    def call(inputs):
        if None not in tuple(inputs.shape)[1:3]:
            return keras.layers.UpSampling2D.call(layer, inputs)
        _, height, width, _ = ops.shape(inputs)
        return resize_bilinear(inputs, (height * layer.size[0], width * layer.size[1]))

    return call


def _same_size(layer):
    def call(inputs):
        found = keras.layers.UpSampling2D.call(layer, inputs)
        _, height, width, channels = inputs.shape
        if None in (height, width, channels):
            return found
        return ops.reshape(found, (-1, height * layer.size[0], width * layer.size[1], channels))

    return call
