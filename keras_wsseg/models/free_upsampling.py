"""`UpSampling2D` in a graph of free size or free batch."""

import collections
import contextlib
import threading

import keras
from keras import ops

from keras_wsseg.ops.resize import resize_bilinear


class FixedSizeNeeded(ValueError):
    """A layer that fails at a size known only at run time, and what to do."""


_lock = threading.Lock()
_users = collections.Counter()


@contextlib.contextmanager
def free_upsampling(model):
    """Lets a model's bilinear and nearest `UpSampling2D` layers work in every graph while it is active.

    In a TensorFlow graph Keras' own bilinear resizing fails at a height or width that is known only at run
    time: a model that trains on crops then stops at the first validation image, and at its export. The
    values are those of `resize_bilinear`, which has the same half-pixel centers; at sizes that are known the
    layers do what they always do.

    Nearest layers repeat pixels, behind which TensorFlow no longer knows a height and width that it knew
    before, where the batch is free; LiteRT's convolutions need them. They are said once more.

    Args:
        model: `keras.Model`, subclassed ones included.

    Yields:
        None.

    Raises:
        FixedSizeNeeded: if another layer fails at such a size, as bicubic `UpSampling2D` does.
    """
    layers = [layer for layer in model._flatten_layers(include_self=False) if _needs_free_size(layer)]
    with _lock:
        for layer in layers:
            # The replicas of a strategy trace one model in several threads.
            _users[id(layer)] += 1
            layer.call = _any_size(layer) if layer.interpolation == "bilinear" else _same_size(layer)
    try:
        yield
    except TypeError as error:
        if type(error).__name__ != "OperatorNotAllowedInGraphError":
            raise
        raise FixedSizeNeeded(
            "`segmenter` must consist of layers that work at a size known only at run time, as bilinear and "
            "nearest UpSampling2D do, or have images of one size: give `size` to an export, train and "
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
    # A subclass may resize in its own way.
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
