"""Intercepts the CRF calls of a deployment, where rounding may decide a pixel."""

import contextlib
import functools
import threading

from keras_wsseg.export.source import all_layers
from keras_wsseg.layers import MeanFieldCRF

# All threads share a layer, and several may export a segmenter.
_ALONE = threading.Lock()


@contextlib.contextmanager
def intercepted(deployment, answer):
    """Replaces the call of every CRF of a deployment, inside its segmenter and after it.

    Args:
        deployment: `Deployment`.
        answer: function of a `MeanFieldCRF`, its original `call`, the logits and the image, which returns the
            layer's result. Calls from other threads are not intercepted.

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
    """Names of the logits before and after each CRF in a graph that is being verified.

    Args:
        calls: number of CRF calls.

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
