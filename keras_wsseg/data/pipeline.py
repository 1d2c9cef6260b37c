"""From single images to `tf.data` batches: order, augmentation, padding."""

import itertools
import math
import typing

import numpy as np
import tensorflow as tf

from keras_wsseg.data.constant_label_images import fill
from keras_wsseg.data.resampling import cut_image, cut_labels, resize_image, resize_labels
from keras_wsseg.imaging.labels import PADDING, UNLABELED

# scale, crop position (2), flip, brightness, contrast, saturation: one number each, from [0, 1).
_DRAWS = 7
# Two parallel maps keep a small CPU busy without starving the training step.
_PARALLEL = 2


class _Further(typing.NamedTuple):
    """Further images in every batch, besides those of the data set itself.

    Args:
        images: a source.
        batch: number of images per batch.
        value: the label of all their pixels.
        streams: distinct numbers for the seeds of augmentation and order.
    """

    images: object
    batch: int
    value: int
    streams: tuple


def _further(source, settings):
    kinds = []
    if settings.unlabeled_batch:
        kinds.append(_Further(source.unlabeled, settings.unlabeled_batch, UNLABELED, (1, 2)))
    if settings.negative_batch:
        kinds.append(_Further(source.negatives, settings.negative_batch, 0, (3, 4)))
    return kinds


def train_pipeline(source, settings):
    """Endless or one-epoch batches of augmented crops.

    The order of the images, and every random number of their augmentation, are drawn by NumPy from only the
    seed and the epoch number. An epoch shows every annotated image once, in full batches: the last one is
    filled up by drawing again, so that shapes stay static and few images can fill a large batch. Images
    without annotation, and those without object, have separate sequences, which continue from epoch to epoch.

    Args:
        source: has `__len__`, `channels`, `dtype`, `value_range`, `tags`, `fetch(index, cache)`, and if
            `unlabeled_batch` is not 0 `unlabeled`, a source likewise; `negatives` the same way.
        settings: a `TrainSettings`.

    Returns:
        `tf.data.Dataset` of `(float32 (batch, *image_size, channels), uint8 (batch, *image_size))`; if the
        source has tags, tags and labels are a dict.
    """
    steps, further = settings.steps(len(source)), _further(source, settings)
    length = steps * settings.batch_size
    passes = itertools.count()
    # An endless pass counts its own epochs; otherwise each pass is one.
    last = np.iinfo(np.int64).max if settings.repeat else settings.first_epoch + 1

    def draw(count, epoch):
        key = (count, epoch) if settings.repeat else (0, epoch + count)
        order, numbers = tf.numpy_function(
            lambda *key: _epoch(len(source), further, settings, key), key, (tf.int64, tf.float32)
        )
        return tf.ensure_shape(order, (length,)), tf.ensure_shape(numbers, (length, _DRAWS))

    def epochs(count):
        return tf.data.Dataset.range(settings.first_epoch, last).map(lambda epoch: draw(count, epoch))

    def read(index):
        if index < len(source):
            return source.fetch(index, settings.cache)
        index -= len(source)
        for kind in further:
            if index < len(kind.images):
                image, labels = kind.images.fetch(index, settings.cache)
                return image, fill(labels, kind.value)
            index -= len(kind.images)
        raise IndexError(index)

    def example(index, numbers):
        image, labels = _decode(source, index, read)
        image, labels = augment(image, labels, numbers, source.value_range, settings)
        return image, _with_tags(source, index, labels)

    # A generator dataset would be shorter, but TensorFlow 2.21 changes malloc for the whole process with it.
    dataset = tf.data.Dataset.range(1)
    dataset = dataset.map(lambda _: tf.numpy_function(lambda: np.int64(next(passes)), (), tf.int64))
    dataset = dataset.flat_map(lambda count: epochs(tf.ensure_shape(count, ())))
    dataset = dataset.flat_map(lambda *arrays: tf.data.Dataset.from_tensor_slices(arrays))
    dataset = dataset.map(example, num_parallel_calls=_PARALLEL, deterministic=True)
    dataset = dataset.batch(settings.batch_size, drop_remainder=True)
    count = tf.data.INFINITE_CARDINALITY if settings.repeat else steps
    return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)


def validation_pipeline(source, batch_size, pad_to_multiple, cache):
    """Whole images in order, padded at the right and bottom to the largest of their batch.

    Args:
        source: as for `train_pipeline`.
        batch_size: images per batch; the last may have fewer.
        pad_to_multiple: None or the number that height and width should be divisible by.
        cache: keep decoded images in memory.

    Returns:
        `tf.data.Dataset` of `(float32 (batch, height, width, channels), uint8 (batch, height, width))`; if
        the source has tags, tags and labels are a dict.
    """
    filling = tf.constant(sum(source.value_range) / 2, tf.float32)

    def example(index):
        image, labels = _decode(source, index, lambda index: source.fetch(index, cache))
        image = tf.cast(image, tf.float32)
        if pad_to_multiple:
            size = tf.shape(labels)
            missing = -size % pad_to_multiple
            borders = tf.stack([tf.zeros_like(missing), missing], axis=1)
            labels = tf.pad(labels, borders, constant_values=PADDING)
            image = tf.pad(image, tf.concat([borders, [[0, 0]]], 0), constant_values=filling)
        labels.set_shape((None, None))
        image.set_shape((None, None, source.channels))
        return image, _with_tags(source, index, labels)

    dataset = tf.data.Dataset.range(len(source))
    dataset = dataset.map(example, num_parallel_calls=_PARALLEL, deterministic=True)
    beside = tf.constant(PADDING, tf.uint8)
    if source.tags is not None:
        beside = {"tags": tf.constant(0, tf.float32), "labels": beside}
    return dataset.padded_batch(batch_size, padding_values=(filling, beside)).prefetch(2)


def augment(image, labels, numbers, value_range, settings):
    """Random scale, crop, flip and colors of one image; only flip and colors of a whole one.

    Args:
        image: `(height, width, channels)`, any number type.
        labels: uint8 `(height, width)`.
        numbers: float32 `(7,)` from [0, 1): scale, row, column, flip, brightness, contrast, saturation.
        value_range: lowest and highest value of the image.
        settings: a `TrainSettings`.

    Returns:
        `(float32 (*image_size, channels), uint8 (*image_size))`; middle gray and 254 where the crop extends
        beyond the image.
    """
    channels = image.shape[-1]
    flip = numbers[3] < 0.5 if settings.flip else tf.constant(False)
    if settings.mode == "resize":
        labels, inside = (
            resize_labels(labels, settings.image_size, flip),
            tf.ones(settings.image_size, tf.bool),
        )
        # The weights of antialiasing sum to one up to rounding.
        image = tf.clip_by_value(resize_image(image, settings.image_size, flip), *value_range)
    else:
        image, labels, inside = _crop(image, labels, numbers, flip, settings)
    if settings.color_jitter:
        image = _jitter(image, inside, numbers[4:7], value_range, settings.color_jitter)
    image = tf.where(inside[..., None], image, sum(value_range) / 2)
    return tf.ensure_shape(image, (*settings.image_size, channels)), tf.ensure_shape(
        labels, settings.image_size
    )


def _crop(image, labels, numbers, flip, settings):
    """A window of the image at a random scale, and which of its pixels are inside the image."""
    low, high = settings.scale
    size = tf.shape(labels)
    # Rounded up: the ratio is never below the scale, which bounds how many source pixels fall into one.
    scaled = tf.cast(tf.math.ceil(tf.cast(size, tf.float32) * (low + numbers[0] * (high - low))), tf.int32)
    spare = scaled - tf.constant(settings.image_size, tf.int32)
    room = tf.abs(spare)
    # float32 may round the product up to room + 1.
    moved = tf.minimum(tf.cast(numbers[1:3] * tf.cast(room + 1, tf.float32), tf.int32), room)
    offset = tf.where(spare >= 0, moved, -moved)
    reach = math.ceil(1 / low)
    labels, inside = cut_labels(labels, scaled, offset, settings.image_size, reach, flip)
    return cut_image(image, scaled, offset, settings.image_size, flip), labels, inside


def _jitter(image, inside, numbers, value_range, strength):
    change = (2 * numbers - 1) * strength
    weight = tf.cast(inside[..., None], tf.float32)
    mean = tf.reduce_sum(image * weight) / tf.maximum(
        tf.reduce_sum(weight) * tf.cast(image.shape[-1], tf.float32), 1.0
    )
    image = mean + (image - mean) * (1 + change[1]) + change[0] * (value_range[1] - value_range[0])
    if image.shape[-1] == 3:
        gray = tf.reduce_sum(image * tf.constant([0.299, 0.587, 0.114]), axis=-1, keepdims=True)
        image = gray + (image - gray) * (1 + change[2])
    return tf.clip_by_value(image, value_range[0], value_range[1])


def _decode(source, index, read):
    image, labels = tf.numpy_function(
        lambda i: read(int(i)), (index,), (tf.as_dtype(source.dtype), tf.uint8), stateful=False
    )
    image.set_shape((None, None, source.channels))
    labels.set_shape((None, None))
    return image, labels


def _with_tags(source, index, labels):
    if source.tags is None:
        return labels
    return {"tags": tf.gather(tf.constant(source.tags, tf.float32), index), "labels": labels}


def _epoch(count, further, settings, key):
    """Order and random numbers of one epoch.

    Indices from `count` on, the number of annotated images, are those of the `further` ones, kind by kind.
    """
    steps = settings.steps(count)
    length = steps * settings.own_batch
    random = np.random.default_rng((settings.seed, *key))
    numbers = random.random((length, _DRAWS), dtype=np.float32)
    rounds = math.ceil(length / count)
    orders = [random.permutation(count) if settings.shuffle else np.arange(count) for _ in range(rounds)]
    order = np.concatenate(orders)[:length].astype(np.int64)
    if not further:
        return order, numbers
    kinds = np.tile(_places(settings.batch_size, [kind.batch for kind in further]), steps)
    all_order = np.empty(len(kinds), np.int64)
    all_numbers = np.empty((len(kinds), _DRAWS), np.float32)
    all_order[kinds == 0], all_numbers[kinds == 0] = order, numbers
    for number, kind in enumerate(further, start=1):
        length = steps * kind.batch
        order = _endless(len(kind.images), int(key[1]) * length, length, settings, (key[0], kind.streams[1]))
        # The last number makes these draws distinct from those above, of an epoch without further images.
        random = np.random.default_rng((settings.seed, *key, kind.streams[0]))
        all_order[kinds == number] = count + order
        all_numbers[kinds == number] = random.random((length, _DRAWS), dtype=np.float32)
        count += len(kind.images)
    return all_order, all_numbers


def _places(batch_size, counts):
    """The kind of each position of a batch: 0 for the data set's own, 1 and up for the further kinds.

    Spread evenly, so that replicas that split a batch get images of each kind.
    """
    kinds = np.zeros(batch_size, int)
    for number, count in enumerate(counts, start=1):
        free = np.flatnonzero(kinds == 0)
        kinds[free[((np.arange(count) + 0.5) * len(free) / count).astype(int)]] = number
    return kinds


def _endless(count, first, length, settings, key):
    """`length` indices from position `first` of an endless sequence of passes over `count` images."""
    passes = range(first // count, -(-(first + length) // count))
    orders = [
        np.random.default_rng((settings.seed, key[0], number, key[1])).permutation(count)
        if settings.shuffle
        else np.arange(count)
        for number in passes
    ]
    return np.concatenate(orders)[first - passes.start * count :][:length]
