"""A Gaussian kernel's values on an image."""

import numpy as np

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.rgb import checked_image, unit_values


def kernel_mosaic(image, sigma_xy=12.0, sigma_rgb=0.1, radius=15, value_range=(0, 255)):
    """Kernel values in adjacent windows, to choose sigmas by eye before training.

    The image is divided into windows of `(2 radius + 1)²` pixels with an anchor a in the middle of each;
    every pixel b shows

        K(a, b) = exp(−½ |x_a − x_b|² / sigma_xy² − ½ |I_a − I_b|² / sigma_rgb²),

    with white for 1, the value of the anchor itself. Good sigmas highlight the object under the anchor and
    stop at its edge. If the image ends before the middle of a window, the anchor is in the last row or
    column.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, within `value_range`.
        sigma_xy: sigma of the position in pixels of this image; None ignores position.
        sigma_rgb: sigma of the color in units of an image in [0, 1]; None ignores color.
        radius: radius of a window in pixels, at least 1.
        value_range: the values of black and white.

    Returns:
        uint8 `(height, width)`.

    Raises:
        ValueError: if a sigma or the radius is not positive, both sigmas are None, or a value is outside
            `value_range`.

    Example:

    >>> kernel_mosaic(np.array([[0, 0, 255]], np.uint8), sigma_xy=None, sigma_rgb=0.1, radius=1).tolist()
    [[255, 255, 0]]

    Source: Obukhov et al., "Gated CRF Loss for Weakly Supervised Semantic Image Segmentation", 2019, figure 2
    (sigma_xy = 12, sigma_rgb = 0.1, radius = 15) and equation 2; their sigma_rgb is in units of the
    standardized image.
    """
    for name, sigma in (("sigma_xy", sigma_xy), ("sigma_rgb", sigma_rgb)):
        if sigma is not None:
            check_number(name, sigma, above=0)
    if sigma_xy is None and sigma_rgb is None:
        raise ValueError("`sigma_xy` or `sigma_rgb` must be given. Received: sigma_xy=None, sigma_rgb=None")
    side = 2 * check_integer("radius", radius, low=1) + 1
    colors = unit_values(checked_image(image), value_range)
    rows, columns = (np.arange(n) for n in colors.shape[:2])
    anchor_rows, anchor_columns = (
        np.minimum(places // side * side + radius, len(places) - 1) for places in (rows, columns)
    )
    exponent = np.zeros(colors.shape[:2], np.float32)
    if sigma_xy is not None:
        exponent += np.square((rows - anchor_rows) / sigma_xy)[:, None]
        exponent += np.square((columns - anchor_columns) / sigma_xy)[None, :]
    if sigma_rgb is not None:
        difference = colors - colors[anchor_rows[:, None], anchor_columns[None, :]]
        exponent += np.sum(np.square(difference / sigma_rgb), axis=-1)
    return np.rint(255 * np.exp(-0.5 * exponent)).astype(np.uint8)
