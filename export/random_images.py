"""Random images at odd sizes, on which Keras and a file are compared."""

import numpy as np

FREE_SIZES = ((67, 93), (96, 64))


def sizes_to_check(shape, check_sizes):
    """The sizes at which to compare: those requested, else two odd ones, or that of a fixed-size model.

    Args:
        shape: `ImageShape` of the segmenter.
        check_sizes: list of `(height, width)` or None.

    Returns:
        Tuple of `(height, width)`.

    Raises:
        ValueError: if the segmenter does not take a size.
    """
    if check_sizes is None:
        free = ((shape.height or height, shape.width or width) for height, width in FREE_SIZES)
        return tuple(dict.fromkeys(free))
    try:
        sizes = tuple(tuple(int(n) for n in size) for size in check_sizes)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`check_sizes` must be a list of (height, width), such as [(64, 64)]. "
            f"Received: check_sizes={check_sizes}"
        ) from error
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
        raise ValueError(f"`check_sizes` must hold at least one size. Received: check_sizes={check_sizes}")
    return sizes


def random_image(generator, shape, value_range, dtype="float32"):
    """A random image with smooth patches, grain and hard edges, like a photograph.

    White noise would not test a CRF fairly: where every pixel differs from all others, rounding decides.

    Args:
        generator: NumPy random generator.
        shape: `(batch, height, width, channels)`.
        value_range: `(low, high)` of the values.
        dtype: `float32`, or `uint8` for whole numbers.

    Returns:
        Array of that shape and type.
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
    image = smooth + generator.normal(0, 0.02, shape)
    image[:, height // 3 :, : width // 2] = 1 - image[:, height // 3 :, : width // 2]
    low, high = value_range
    image = low + (high - low) * np.clip(image, 0, 1)
    return (np.rint(image) if dtype == "uint8" else image).astype(dtype)
