"""Listens in on the CRFs of a deployment: the places where a last digit may decide a pixel."""

import contextlib
import functools
import threading

from keras_wsseg.export.source import all_layers
from keras_wsseg.layers import MeanFieldCRF

# A layer is one for all threads, and a segmenter may be exported by several.
_ALONE = threading.Lock()


@contextlib.contextmanager
def intercepted(deployment, answer):
    """Lets a function answer for every CRF of a deployment, inside its segmenter and behind it.

    Args:
        deployment: `Deployment`.
        answer: function of a `MeanFieldCRF`, its own `call`, the logits and the image, which gives what
            the layer shall give. Calls of other threads pass by it.

    Yields:
        None.
    """
    with _ALONE:
        layers = _crfs(deployment)
        for layer in layers:
            layer.call = _answered(layer, answer, threading.get_ident())
        try:
            yield
        finally:
            for layer in layers:
                del layer.call


def stage_names(calls):
    """What a graph calls the logits before and behind each of its CRFs while it is being checked.

    Args:
        calls: how many calls of a CRF there are.

    Returns:
        Tuple of two names for each.
    """
    return tuple(f"{side}_crf_{number}" for number in range(calls) for side in ("before", "behind"))


def _crfs(deployment):
    parts = [part for part in (deployment.segmenter, deployment.crf) if part is not None]
    layers = (layer for part in parts for layer in (part, *all_layers(part)))
    return {id(layer): layer for layer in layers if isinstance(layer, MeanFieldCRF)}.values()


def _answered(layer, answer, thread):
    own = layer.call

    def call(inputs, **options):
        if threading.get_ident() != thread:
            return own(inputs, **options)
        logits, image = inputs
        return answer(layer, functools.partial(own, **options), logits, image)

    return call
