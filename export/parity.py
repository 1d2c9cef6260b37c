"""Runs a Keras segmenter and its exported file on the same pictures and compares what they say."""

import contextlib
import dataclasses

import keras
import numpy as np
import onnxruntime
from keras import ops

from keras_wsseg.export.head import class_logits
from keras_wsseg.export.source import first_line

FREE_SIZES = ((67, 93), (96, 64))


@dataclasses.dataclass(frozen=True)
class Reference:
    """Pictures and what Keras makes of them.

    Args:
        pictures: list of `(batch, height, width, channels)` float32 arrays.
        probabilities: list of `(batch, height, width, classes)` float32 arrays.
        resize: whether the logits came at another size than the pictures.
        largest_logit: largest absolute logit: float32 is coarser where numbers are larger.
    """

    pictures: list
    probabilities: list
    resize: bool
    largest_logit: float

    @property
    def classes(self):
        """Number of classes, two for a segmenter with one logit."""
        return self.probabilities[0].shape[-1]


def sizes_to_check(shape, check_sizes):
    """The sizes at which to compare: those asked for, else two odd ones, or the one a fixed model takes.

    Args:
        shape: `PictureShape` of the segmenter.
        check_sizes: list of `(height, width)` or None.

    Returns:
        Tuple of `(height, width)`.

    Raises:
        ValueError: if a size is not one that the segmenter takes.
    """
    if check_sizes is None:
        free = ((shape.height or height, shape.width or width) for height, width in FREE_SIZES)
        return tuple(dict.fromkeys(free))
    sizes = tuple(tuple(int(n) for n in size) for size in check_sizes)
    fixed = (shape.height, shape.width)
    for size in sizes:
        fits = len(size) == 2 and all(
            n > 0 and limit in (None, n) for n, limit in zip(size, fixed, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`check_sizes` must be (height, width) that the segmenter takes, which are {fixed} where "
                f"None is any. Received: check_sizes={check_sizes}"
            )
    if not sizes:
        raise ValueError(f"`check_sizes` must name at least one size. Received: check_sizes={check_sizes}")
    return sizes


def _picture(generator, shape, value_range):
    """A random picture of smooth patches, grain and hard edges, as photographs have them.

    White noise would be no fair check of a CRF: where every pixel differs from all others, rounding decides.
    """
    batch, height, width, channels = shape
    coarse = generator.uniform(0, 1, (batch, height // 8 + 2, width // 8 + 2, channels))
    rows, columns = np.arange(height) / 8, np.arange(width) / 8
    smooth = 0.0
    for row, part_y in ((rows.astype(int), 1 - rows % 1), (rows.astype(int) + 1, rows % 1)):
        for column, part_x in (
            (columns.astype(int), 1 - columns % 1),
            (columns.astype(int) + 1, columns % 1),
        ):
            smooth = smooth + coarse[:, row][:, :, column] * (part_y[:, None] * part_x)[..., None]
    picture = smooth + generator.normal(0, 0.02, shape)
    picture[:, height // 3 :, : width // 2] = 1 - picture[:, height // 3 :, : width // 2]
    low, high = value_range
    return (low + (high - low) * np.clip(picture, 0, 1)).astype(np.float32)


def run_keras(segmenter, shape, sizes, value_range, seed=0):
    """Runs the segmenter on made pictures, in full float32 also where the device would take TF32.

    Args:
        segmenter: `keras.Model`.
        shape: its `PictureShape`.
        sizes: tuple of `(height, width)`.
        value_range: `(low, high)` of the pictures.
        seed: of the random pictures.

    Returns:
        `Reference`.

    Raises:
        ValueError: if it fails on a size, or gives anything but finite logits `(batch, h, w, classes)`.
    """
    generator = np.random.default_rng(seed)
    pictures, probabilities, resize, largest_logit = [], [], False, 0.0
    for index, size in enumerate(sizes):
        batch = shape.batch or (2 if index == 0 else 1)
        picture = _picture(generator, (batch, *size, shape.channels), value_range)
        try:
            with full_float32():
                logits = segmenter(ops.convert_to_tensor(picture), training=False)
        except Exception as error:
            raise ValueError(
                f"`segmenter` fails on a picture of {size[0]} x {size[1]} pixels; name sizes that it takes "
                f"in `check_sizes`. Received: {type(error).__name__}: {first_line(error)}"
            ) from error
        if not hasattr(logits, "shape") or len(logits.shape) != 4 or logits.shape[0] != batch:
            received = getattr(logits, "shape", type(logits).__name__)
            raise ValueError(
                f"`segmenter` must give logits (batch, height, width, classes). Received: {received}"
            )
        differs = tuple(logits.shape[1:3]) != size
        with full_float32():
            logits = ops.convert_to_numpy(class_logits(logits, size if differs else None))
        if not np.isfinite(logits).all():
            raise ValueError("`segmenter` must give finite logits. Received: logits with NaN or infinity")
        resize = resize or differs
        largest_logit = max(largest_logit, float(np.abs(logits).max()))
        pictures.append(picture)
        probabilities.append(_softmax(logits))
    return Reference(pictures, probabilities, resize, largest_logit)


def run_onnx(path, pictures):
    """Runs an exported file on the CPU.

    Args:
        path: ONNX file.
        pictures: list of `(batch, height, width, channels)` float32 arrays.

    Returns:
        List of `(probabilities, classes)`.

    Raises:
        ValueError: if ONNX Runtime does not load or run it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return [session.run(["probabilities", "classes"], {"image": picture}) for picture in pictures]
    except Exception as error:
        raise ValueError(
            "`segmenter` was converted to a file that ONNX Runtime does not run. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error


def compare(reference, outputs):
    """How far the file is from Keras.

    Args:
        reference: `Reference`.
        outputs: what `run_onnx` gave for its pictures.

    Returns:
        `(largest difference, mean difference, share of equal classes)`; a file with NaN is infinitely far.
    """
    differences, equal = [], []
    for expected, (probabilities, classes) in zip(reference.probabilities, outputs, strict=True):
        if probabilities.shape != expected.shape:
            return np.inf, np.inf, 0.0
        differences.append(np.abs(probabilities - expected).ravel())
        equal.append((classes == expected.argmax(-1)).ravel())
    differences = np.nan_to_num(np.concatenate(differences), nan=np.inf)
    return float(differences.max()), float(differences.mean()), float(np.concatenate(equal).mean())


def _softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@contextlib.contextmanager
def full_float32():
    """Keeps the device from multiplying in TF32 or less while it is active."""
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
