"""Resamples a window of an image, without scaling the rest, or all of it: image and labels alike."""

import functools

import tensorflow as tf

from keras_wsseg.imaging.labels import PADDING


def source_index(offset, window, scaled, size):
    """The source positions, along one axis, of the pixels of a window of the scaled image.

    Pixel `i` of the window is pixel `t = offset + i` of the scaled axis; its center is in source pixel
    `floor((t + 1/2) size / scaled)`. Integers throughout, so that no rounding can move an annotation.

    Returns:
        `(index, inside)`: int32 source positions, clipped to the image, and whether they were inside it.
    """
    place = offset + tf.range(window)
    inside = (place >= 0) & (place < scaled)
    place = tf.clip_by_value(place, 0, scaled - 1)
    return ((2 * place + 1) * size) // (2 * scaled), inside


def cover_index(offset, window, scaled, size, reach):
    """All source pixels whose center falls into a pixel of the window, along one axis.

    Source pixel `y` falls into `t = floor((y + 1/2) scaled / size)`.

    Args:
        reach: an upper bound on how many fall into one pixel.

    Returns:
        list of `reach` int32 vectors; unused entries repeat that of `source_index`.
    """
    nearest, _ = source_index(offset, window, scaled, size)
    place = tf.clip_by_value(offset + tf.range(window), 0, scaled - 1)
    first = -((scaled - 2 * place * size) // (2 * scaled))
    candidates = []
    for step in range(reach):
        source = tf.clip_by_value(first + step, 0, size - 1)
        falls_here = ((2 * source + 1) * scaled) // (2 * size) == place
        candidates.append(tf.where(falls_here, source, nearest))
    return candidates


def cut_labels(labels, scaled, offset, window, reach, flip):
    """Labels of a window of the scaled image, exact where dense and lossless where sparse.

    Each pixel takes the label of the source pixel under its center. If that one has no class, it takes the
    label of any annotated source pixel whose center falls into it (the highest id if there are several), so
    that downscaling, which skips source pixels, drops no click. Upscaling skips none and is plain
    nearest-neighbor.

    Args:
        labels: uint8 `(height, width)`.
        scaled: int32 `(2,)`, size of the whole scaled image.
        offset: int32 `(2,)`, first pixel of the window in the scaled image; may be negative.
        window: `(height, width)` of the result.
        reach: at least one over the smallest scale, rounded up.
        flip: boolean scalar, mirror horizontally.

    Returns:
        `(labels, inside)`: uint8 and boolean, both `(height, width)`; 254 where not inside.
    """
    size = tf.shape(labels)
    rows, row_inside = source_index(offset[0], window[0], scaled[0], size[0])
    columns, column_inside = source_index(offset[1], window[1], scaled[1], size[1])
    columns, column_inside = _mirrored(columns, flip), _mirrored(column_inside, flip)
    result = tf.gather(tf.gather(labels, rows), columns, axis=1)
    if reach > 1:
        cover_rows, cover_columns = (
            cover_index(offset[axis], window[axis], scaled[axis], size[axis], reach) for axis in (0, 1)
        )
        classes = _classes_one_up(labels)
        classes = functools.reduce(tf.maximum, [tf.gather(classes, index) for index in cover_rows])
        cover_columns = [_mirrored(index, flip) for index in cover_columns]
        found = functools.reduce(tf.maximum, [tf.gather(classes, index, axis=1) for index in cover_columns])
        result = _filled(result, found)
    inside = row_inside[:, None] & column_inside[None, :]
    return tf.where(inside, result, tf.constant(PADDING, tf.uint8)), inside


def _mirrored(vector, flip):
    return tf.where(flip, vector[::-1], vector)


def _classes_one_up(labels):
    """The class ids plus one, so that 0 is "no class" and a maximum finds a class if there is one."""
    return tf.where(labels < PADDING, labels + 1, tf.zeros_like(labels))


def _filled(nearest, found):
    return tf.where((nearest >= PADDING) & (found > 0), found - 1, nearest)


def resize_labels(labels, size, flip):
    """Labels of a whole image on another grid, by the rule of `cut_labels`, at any ratio.

    While `cut_labels` gathers a bounded number of source pixels, here every source pixel is scattered to the
    pixel it falls into, along each axis separately, so that the image may be of any size.

    Args:
        labels: uint8 `(height, width)`.
        size: `(height, width)` of the result.
        flip: boolean scalar, mirror horizontally.

    Returns:
        uint8 `size`.

    Example:

    >>> labels = np.full((6, 4), 255, np.uint8)
    >>> labels[0, 0] = 3
    >>> resize_labels(tf.constant(labels), (2, 2), tf.constant(False)).numpy().tolist()
    [[3, 255], [255, 255]]
    """
    result, found = labels, _classes_one_up(labels)
    for scaled in size:
        length = tf.shape(result)[0]
        nearest, _ = source_index(0, scaled, scaled, length)
        place = ((2 * tf.range(length) + 1) * scaled) // (2 * length)
        # With the nearest one: an upscaled axis has pixels into which none falls.
        fallen = tf.math.unsorted_segment_max(found, place, scaled)
        found = tf.transpose(tf.maximum(fallen, tf.gather(found, nearest)))
        result = tf.transpose(tf.gather(result, nearest))
    return _mirrored_columns(_filled(result, found), flip)


def _mirrored_columns(array, flip):
    return tf.where(flip, array[:, ::-1], array)


def cut_image(image, scaled, offset, window, flip):
    """The same window of the image, bilinear, with the border repeated outside the image.

    Args:
        image: `(height, width, channels)`, any number type.
        scaled, offset, window, flip: as in `cut_labels`.

    Returns:
        float32 `(*window, channels)`.
    """
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    ratio = size / tf.cast(scaled, tf.float32)
    start = (tf.cast(offset, tf.float32) + 0.5) * ratio - 0.5
    end = start + ratio * (tf.constant(window, tf.float32) - 1)
    # Only the part that is used becomes float32: images may be far larger than the window.
    low = tf.clip_by_value(tf.floor(start), 0, size - 1)
    high = tf.cast(tf.clip_by_value(tf.floor(end) + 2, low + 1, size), tf.int32)
    begin = tf.cast(low, tf.int32)
    image = tf.cast(image[begin[0] : high[0], begin[1] : high[1]], tf.float32)
    start, end = start - low, end - low
    step, first = tf.where(flip, -ratio[1], ratio[1]), tf.where(flip, end[1], start[1])
    transform = tf.stack([step, 0.0, first, 0.0, ratio[0], start[0], 0.0, 0.0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=tf.constant(window, tf.int32),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )[0]


def resize_image(image, size, flip):
    """A whole image on another grid, bilinear, antialiased where it shrinks.

    Args:
        image: `(height, width, channels)`, any number type.
        size: `(height, width)` of the result.
        flip: boolean scalar, mirror horizontally.

    Returns:
        float32 `(*size, channels)`.
    """
    image = tf.image.resize(tf.cast(image, tf.float32), size, antialias=True)
    return _mirrored_columns(image, flip)
