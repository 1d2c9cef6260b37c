"""Images joined into a strip."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_wsseg.visualization.contact_sheet import PAPER, TEXT_COLOR

_TEXT = 13
_MARGIN = 6


def film_strip(columns, caption=None):
    """Images side by side at their own size, with a caption above, such as one sheet per epoch.

    Args:
        columns: uint8 images `(height, width, 3)`, aligned at the top.
        caption: a line at the top.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: if there is no image, or one is not a uint8 image.

    Example:

    >>> film_strip([np.zeros((4, 3, 3), np.uint8), np.zeros((6, 2, 3), np.uint8)]).shape
    (6, 5, 3)
    """
    columns = [np.asarray(column) for column in columns]
    if not columns:
        raise ValueError("`columns` must contain at least one image. Received: none")
    for column in columns:
        if column.dtype != np.uint8 or column.ndim != 3 or column.shape[-1] != 3:
            raise ValueError(
                "`columns` must be uint8 images of shape (height, width, 3). "
                f"Received: shape={column.shape}, dtype={column.dtype}"
            )
    font = ImageFont.load_default(_TEXT)
    width = sum(column.shape[1] for column in columns)
    if caption is not None:
        width = max(width, int(font.getlength(caption)) + 1 + 2 * _MARGIN)
    top = 0 if caption is None else _TEXT + _MARGIN
    strip = Image.new("RGB", (width, top + max(column.shape[0] for column in columns)), PAPER)
    if caption is not None:
        ImageDraw.Draw(strip).text((_MARGIN, _MARGIN // 2), caption, TEXT_COLOR, font)
    left = 0
    for column in columns:
        strip.paste(Image.fromarray(column), (left, top))
        left += column.shape[1]
    return np.asarray(strip)
