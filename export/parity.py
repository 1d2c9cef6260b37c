"""Runs a Keras segmenter and its exported file on the same images and compares their outputs."""

import contextlib
import dataclasses

import keras
import numpy as np
from keras import ops

from keras_wsseg.export.crf_calls import intercepted
from keras_wsseg.export.source import first_line
from keras_wsseg.export.stages import largest_in_stages, softmax

# Largest gap between probabilities whose order a file may swap: each may be off by half of it.
TIE = 2e-4


@dataclasses.dataclass(frozen=True)
class Reference:
    """Images and Keras's results on them.

    Args:
        images: list of `(batch, height, width, channels)` arrays.
        probabilities: list of `(batch, height, width, classes)` float32 arrays.
        largest_logit: largest absolute logit: float32 is coarser where numbers are larger.
        crf_calls: number of CRF calls in one run.
    """

    images: list
    probabilities: list
    largest_logit: float
    crf_calls: int = 0

    @property
    def sizes(self):
        """The `(height, width)` of the images, each once."""
        return tuple(dict.fromkeys(image.shape[1:3] for image in self.images))


@dataclasses.dataclass(frozen=True)
class Differences:
    """How far a file is from Keras.

    Args:
        largest: absolute difference of a probability.
        mean: absolute difference of the probabilities.
        equal_classes: fraction of pixels with the same class, or with one that is equally probable in Keras.
        in_stages: the largest difference of the separately compared CRFs and the stages between them, as
            probabilities and as a fraction of the largest logit; None without a CRF.
    """

    largest: float
    mean: float
    equal_classes: float
    in_stages: float | None = None


def comes_coarser(segmenter, images):
    """Whether a segmenter outputs logits at another size than that of its images.

    Args:
        segmenter: `keras.Model`.
        images: list of `(batch, height, width, channels)` arrays.

    Returns:
        True if it does so for any of them.

    Raises:
        ValueError: if it fails on a size, or outputs anything but logits `(batch, h, w, classes)`.
    """
    coarser = False
    for image in images:
        batch, height, width = image.shape[:3]
        try:
            with full_float32():
                logits = segmenter(ops.convert_to_tensor(image, "float32"), training=False)
        except Exception as error:
            raise ValueError(
                f"`segmenter` fails on an image of {height} x {width} pixels; list sizes that it takes in "
                f"`check_sizes`. Received: {type(error).__name__}: {first_line(error)}"
            ) from error
        if not hasattr(logits, "shape") or len(logits.shape) != 4 or logits.shape[0] != batch:
            received = getattr(logits, "shape", type(logits).__name__)
            raise ValueError(
                f"`segmenter` must give logits (batch, height, width, classes). Received: {received}"
            )
        coarser = coarser or tuple(logits.shape[1:3]) != (height, width)
    return coarser


def sums_to_one(segmenter, images):
    """Whether a segmenter's outputs can only be probabilities, where its layers do not reveal it.

    Args:
        segmenter: `keras.Model`.
        images: list of `(batch, height, width, channels)` arrays.

    Returns:
        True if its channels, two or more, are not negative and sum to 1 at every pixel of every image.
    """
    for image in images:
        given = segmenter(ops.convert_to_tensor(image, "float32"), training=False)
        given = ops.convert_to_numpy(ops.cast(given, "float32"))
        if given.shape[-1] < 2 or given.min() < 0 or np.abs(given.sum(-1) - 1).max() > 1e-3:
            return False
    return True


def run_keras(deployment, images):
    """Runs a deployment, in full float32 even where the device would use TF32.

    Args:
        deployment: `Deployment`.
        images: list of `(batch, height, width, channels)` arrays.

    Returns:
        `Reference`.

    Raises:
        ValueError: if the logits are not finite, or the CRF fails.
    """
    probabilities, largest_logit, calls = [], 0.0, []

    def counted(layer, own, logits, guide):
        calls.append(layer)
        return own([logits, guide])

    for image in images:
        try:
            with full_float32(), intercepted(deployment, counted):
                logits = deployment.logits(ops.convert_to_tensor(image, "float32"))
        except Exception as error:
            raise ValueError(
                f"`segmenter` fails with its post-processing on an image of {image.shape[1]} x "
                f"{image.shape[2]} pixels. Received: {type(error).__name__}: {first_line(error)}"
            ) from error
        logits = ops.convert_to_numpy(logits)
        if not np.isfinite(logits).all():
            raise ValueError("`segmenter` must give finite logits. Received: logits with NaN or infinity")
        largest_logit = max(largest_logit, float(np.abs(logits).max()))
        probabilities.append(softmax(logits))
    return Reference(images, probabilities, largest_logit, len(calls) // len(images))


def compare(deployment, reference, outputs, opened):
    """How far a file is from Keras.

    Args:
        deployment: `Deployment` in float32.
        reference: `Reference` of it.
        outputs: `(probabilities, classes)` for each of its images.
        opened: the same from a file that also outputs, after these, the logits before and after each CRF.

    Returns:
        `Differences`; NaN counts as an infinite difference.
    """
    largest, total, values, equal, pixels = 0.0, 0.0, 0, 0, 0
    for expected, (probabilities, classes) in zip(reference.probabilities, outputs, strict=True):
        if probabilities.shape != expected.shape:
            return Differences(np.inf, np.inf, 0.0)
        difference = np.nan_to_num(np.abs(probabilities - expected), nan=np.inf)
        largest = max(largest, float(difference.max()))
        total, values = total + float(difference.sum(dtype="float64")), values + difference.size
        same = _are_top_classes(classes, expected)
        equal, pixels = equal + int(same.sum()), pixels + same.size
    in_stages = _in_stages(deployment, reference, opened) if reference.crf_calls else None
    return Differences(largest, total / values, equal / pixels, in_stages)


def _are_top_classes(classes, probabilities):
    # Where two classes are equally probable, which of them is chosen is chance.
    known = classes < probabilities.shape[-1]
    named = np.where(known, classes, 0).astype("int64")
    named = np.take_along_axis(probabilities, named[..., None], -1)[..., 0]
    return known & (named >= probabilities.max(-1) - TIE)


def _in_stages(deployment, reference, opened):
    with full_float32():
        return max(
            largest_in_stages(deployment, image, probabilities, stages)
            for image, (probabilities, _, *stages) in zip(reference.images, opened, strict=True)
        )


@contextlib.contextmanager
def full_float32():
    """Prevents the device from multiplying in TF32 or lower precision while active."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        allowed = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(allowed)
    else:
        yield
