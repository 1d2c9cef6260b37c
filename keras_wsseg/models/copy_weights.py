"""Initialization of a segmenter from another one."""

import itertools

import keras
from keras import ops


def copy_weights(source, target, skip_logits=False):
    """Copies the weights of a trained segmenter into another of the same architecture.

    A network trained on easy images is a better initialization for hard ones than random weights, and a
    network trained at a small size can continue at a larger one. Weights are matched by position in the order
    of the layers; layer names, trainability and input size are ignored.

    Args:
        source: `keras.Model`, built; a segmenter, the same `with_input_size`, or a `WeaklySupervisedModel`.
        target: `keras.Model`, built, that receives the weights. Its optimizer is left unchanged.
        skip_logits: whether to leave the last layer with a kernel, and all weights after it, unchanged in
            `target`, which may then have a different number of classes.

    Raises:
        TypeError: if either is not a `keras.Model`.
        ValueError: if either has no weights yet, or a weight does not match; `target` is then unchanged.

    Example:

    >>> import numpy as np
    >>> from keras_wsseg import models
    >>> easy, hard = models.UNet(2, filters=(4, 8)), models.UNet(3, filters=(4, 8))
    >>> copy_weights(easy, hard, skip_logits=True)
    >>> bool(np.all(easy.weights[0] == hard.weights[0]))
    True
    """
    taken, given = _weights("source", source, skip_logits), _weights("target", target, skip_logits)
    for ours, theirs in itertools.zip_longest(given, taken):
        if _kind(ours) != _kind(theirs):
            hint = "" if skip_logits else " (`skip_logits=True` leaves out the last layer)"
            raise ValueError(
                f"`source` must have the weights of `target`{hint}. "
                f"Received: {_described(theirs)} for {_described(ours)}"
            )
    for ours, theirs in zip(given, taken, strict=True):
        # A copy, since a compiled JAX step donates the buffers of the weights passed to it.
        ours.assign(ops.convert_to_numpy(theirs.value).copy())


def _weights(argument, model, skip_logits):
    if not isinstance(model, keras.Model):
        raise TypeError(f"`{argument}` must be a keras.Model. Received: {argument}={model!r}")
    weights = list(model.weights)
    if not weights:
        raise ValueError(f"`{argument}` must be built and have weights. Received: {argument}={model.name!r}")
    if skip_logits:
        kernels = [index for index, weight in enumerate(weights) if weight.name == "kernel"]
        weights = weights[: kernels[-1] if kernels else len(weights)]
    return weights


def _kind(weight):
    return None if weight is None else (weight.name, tuple(weight.shape))


def _described(weight):
    return "nothing" if weight is None else f"{weight.path} of shape {tuple(weight.shape)}"
