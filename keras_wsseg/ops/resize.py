"""Resizing as products with weight matrices: the same numbers on every backend, at static and dynamic sizes.

With a dynamic target size, `keras.ops.image.resize` neither traces on TensorFlow nor exports to ONNX, and it
has no area averaging. All weights are computed from integer positions, so that no precision is lost in large
images.
"""

import operator

from keras import backend, ops

from keras_wsseg.ops.backend import matmul_float32
from keras_wsseg.ops.finite import without_infinities


def resize_bilinear(images, size):
    """Bilinear interpolation with half-pixel centers, the convention of `tf.image.resize`.

    Used to resize logits from the segmenter's grid to that of the labels. Output pixel `i` of `H` samples the
    position `x = (i + 1/2) h / H - 1/2` of `h` input pixels, clamped to `[0, h - 1]`, with weights
    `max(0, 1 - |x - j|)`; rows first, then columns. There is no antialiasing when downsampling: see
    `resize_antialiased` and `resize_area` for that.

    Args:
        images: `(batch, height, width, channels)`, of any dtype.
        size: `(height, width)` of the result in pixels, each an integer or an integer scalar tensor.

    Returns:
        `(batch, *size, channels)` in the dtype of `images`, float32 where that is an integer type.

    Raises:
        ValueError: if `images` is not of rank 4, or `size` is not two positive sizes.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> row = np.array([0.0, 4.0], "float32").reshape(1, 1, 2, 1)
    >>> [round(float(x), 4) for x in ops.ravel(resize_bilinear(row, (1, 4)))]
    [0.0, 1.0, 3.0, 4.0]
    """
    old, new = _sizes(images, size)
    if _all_static(old, new) and old == new:
        return ops.cast(images, _floating_dtype(images))
    return _resize(images, old, new, _bilinear_weights)


def resize_antialiased(images, size):
    """Bilinear interpolation with antialiasing, as `tf.image.resize` with `antialias=True`.

    Used to resize photographs to the input size of a network: downsampling avoids moiré, upsampling equals
    `resize_bilinear`, and each axis is treated separately. The tent of the bilinear weights is as wide as the
    larger of the two pixel sizes: output pixel `i` of `H` weights input pixel `j` of `h` by

    `max(0, 1 - |(i + 1/2) h / H - (j + 1/2)| / max(1, h / H))`,

    divided by the sum of these weights; rows first, then columns.

    Args:
        images: `(batch, height, width, channels)`, of any dtype.
        size: `(height, width)` of the result in pixels, each an integer or an integer scalar tensor.

    Returns:
        `(batch, *size, channels)` in the dtype of `images`, float32 where that is an integer type. At the
        size of `images` the values are unchanged.

    Raises:
        ValueError: if `images` is not of rank 4, or `size` is not two positive sizes.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> row = np.array([0.0, 0.0, 4.0, 4.0], "float32").reshape(1, 1, 4, 1)
    >>> [round(float(x), 4) for x in ops.ravel(resize_antialiased(row, (1, 2)))]
    [0.5714, 3.4286]
    """
    old, new = _sizes(images, size)
    if _all_static(old, new) and old == new:
        return ops.cast(images, _floating_dtype(images))
    return _resize(images, old, new, _antialiased_weights)


def resize_area(images, size):
    """Area averaging: each output pixel is the mean of the area it covers, weighted by the overlap.

    Used to resize guide images and masks to the grid of a loss: there is no aliasing, and the mean of an
    image is preserved at any ratio. Output cell `[i h/H, (i+1) h/H]` weights input cell `[j, j+1]` by the
    length of their overlap over `h/H`; rows first, then columns. Upsampling repeats pixels, and mixes two
    only in cells that lie across an edge.

    Args:
        images: `(batch, height, width, channels)`, of any dtype.
        size: `(height, width)` of the result in pixels, each an integer or an integer scalar tensor.

    Returns:
        `(batch, *size, channels)` in the dtype of `images`, float32 where that is an integer type.

    Raises:
        ValueError: if `images` is not of rank 4, or `size` is not two positive sizes.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> row = np.array([1.0, 3.0, 8.0], "float32").reshape(1, 1, 3, 1)
    >>> [round(float(x), 4) for x in ops.ravel(resize_area(row, (1, 2)))]
    [1.6667, 6.3333]
    """
    old, new = _sizes(images, size)
    if _all_static(old, new) and old[0] % new[0] == 0 and old[1] % new[1] == 0:
        cells = (-1, new[0], old[0] // new[0], new[1], old[1] // new[1], images.shape[-1])
        means = ops.mean(ops.reshape(ops.cast(images, "float32"), cells), axis=(2, 4))
        return ops.cast(means, _floating_dtype(images))
    return _resize(images, old, new, _area_weights)


def _bilinear_weights(size, new_size):
    # Positions in units of 1 / (2 * new_size) pixel are integers; clamping them is clamping at the edge.
    position = (2 * ops.arange(new_size, dtype="int32") + 1) * size - new_size
    position = ops.minimum(ops.maximum(position, 0), (size - 1) * 2 * new_size)
    lower = position // (2 * new_size)
    fraction = ops.cast(position - lower * 2 * new_size, "float32") / ops.cast(2 * new_size, "float32")
    offset = ops.expand_dims(lower, 1) - ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    distance = ops.abs(ops.cast(offset, "float32") + ops.expand_dims(fraction, 1))
    return ops.relu(1.0 - distance)


def _antialiased_weights(size, new_size):
    # In units of 1 / (2 * new_size) pixel all centers, and the half width of the tent, are integers.
    center = ops.expand_dims((2 * ops.arange(new_size, dtype="int32") + 1) * size, 1)
    source = ops.expand_dims((2 * ops.arange(size, dtype="int32") + 1) * new_size, 0)
    tent = ops.maximum(2 * ops.maximum(size, new_size) - ops.abs(center - source), 0)
    tent = ops.cast(tent, "float32")
    return tent / ops.sum(tent, axis=1, keepdims=True)


def _area_weights(size, new_size):
    # In units of 1 / new_size pixel, input and output cells begin and end at integers.
    output = ops.expand_dims(ops.arange(new_size, dtype="int32"), 1)
    source = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    end = ops.minimum((output + 1) * size, (source + 1) * new_size)
    overlap = end - ops.maximum(output * size, source * new_size)
    return ops.relu(ops.cast(overlap, "float32")) / ops.cast(size, "float32")


def _resize(images, old, new, weights):
    channels = images.shape[-1]
    x = ops.reshape(without_infinities(images, 1e30), (-1, old[0], old[1] * channels))
    x = matmul_float32(weights(old[0], new[0]), x)
    x = ops.reshape(x, (-1, old[1], channels))
    x = matmul_float32(weights(old[1], new[1]), x)
    x = ops.reshape(x, (-1, *new, channels))
    return ops.cast(x, _floating_dtype(images))


def _sizes(images, size):
    if len(images.shape) != 4:
        shape = tuple(images.shape)
        raise ValueError(
            f"`images` must have shape (batch, height, width, channels). Received: shape={shape}"
        )
    shape = ops.shape(images)
    size = tuple(_as_int(n) for n in size)
    if len(size) != 2 or any(isinstance(n, int) and n < 1 for n in size):
        raise ValueError(f"`size` must be (height, width), both at least 1. Received: size={size}")
    return (_as_int(shape[1]), _as_int(shape[2])), size


def _all_static(*sizes):
    return all(isinstance(n, int) for size in sizes for n in size)


def _as_int(value):
    # Static sizes stay Python integers, so that shapes stay static wherever possible.
    try:
        return operator.index(value)
    except TypeError:
        return value


def _floating_dtype(images):
    dtype = backend.standardize_dtype(images.dtype)
    return dtype if "float" in dtype else "float32"
