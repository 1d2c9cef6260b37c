"""The weights of the sparse CRF on an image."""

import numpy as np

from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.rgb import checked_image, unit_values


def neighbor_weights_image(image, sigma_rgb, value_range=(0, 255)):
    """The weights of the sparse CRF between neighbors as an image, to choose sigma_rgb by eye.

    Each pixel p shows the mean over its neighbors q, above, below, left and right, of

        w_pq = exp(−|C_p − C_q|² / 2 sigma_rgb²),

    white for 1, where a cut costs most; edges, where the object may end, are dark. If sigma_rgb is so small
    that texture is dark everywhere, a cut is cheap anywhere; if it is so large that the object's outline is
    white, there is nowhere to cut. The weights are those of the given image: a loss on a coarser grid
    compares the colors of that grid.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, within `value_range`. Colors
            are compared over all channels.
        sigma_rgb: width in color, for an image in [0, 1], above 0.
        value_range: the values of black and white.

    Returns:
        uint8 `(height, width, 3)`, gray; a pixel without neighbors is white.

    Raises:
        ValueError: if `sigma_rgb` is not positive and finite, or a value is outside `value_range`.

    Example:

    >>> row = np.array([[0, 0, 0, 255]], np.uint8)
    >>> neighbor_weights_image(row, sigma_rgb=0.15)[0, :, 0].tolist()
    [255, 255, 128, 0]

    Source: Veksler, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", 2020, the
    sparse CRF; figure 2 shows its weights while sigma_rgb is annealed.
    """
    sigma_rgb = float(check_number("sigma_rgb", sigma_rgb, above=0))
    colors = unit_values(checked_image(image), value_range)
    total, count = np.zeros(colors.shape[:2]), np.zeros(colors.shape[:2])
    for axis in (0, 1):
        distance = np.sum(np.square(np.diff(colors, axis=axis)), axis=-1, dtype=np.float64)
        weights = np.exp(-distance / (2 * sigma_rgb**2))
        for sums, values in ((total, weights), (count, np.ones_like(weights))):
            before, after = _halves(sums, axis)
            before += values
            after += values
    mean = np.divide(total, count, out=np.ones_like(total), where=count > 0)
    return np.repeat(np.rint(255 * mean).astype(np.uint8)[..., None], 3, axis=-1)


def _halves(array, axis):
    """Views of all but the last and of all but the first along an axis: first and second of each pair."""
    return (array[:-1], array[1:]) if axis == 0 else (array[:, :-1], array[:, 1:])
