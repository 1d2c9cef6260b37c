"""Images side by side on one sheet, with titles and a legend of the classes."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.palette import as_palette

PAPER = (255, 255, 255)
TEXT_COLOR = (32, 33, 36)
_RIM = (200, 202, 206)


def contact_sheet(rows, titles=None, class_names=None, palette=None, caption=None, cell=320):
    """A grid of images on one sheet, with column titles above and a legend of the classes below.

    Every image is scaled to fit a square of `cell` pixels, preserving its aspect ratio; small images are
    enlarged without smoothing, so that single pixels stay visible.

    Args:
        rows: list of rows, each a list of uint8 images `(height, width)` or `(height, width, 3)`, or None
            for an empty cell.
        titles: a title for each column.
        class_names: a name for each class, for the legend.
        palette: `(classes, 3)` red, green, blue from 0 to 255; `class_palette` by default.
        caption: a line at the top of the sheet.
        cell: maximum width and height of an image on the sheet, in pixels, at least 32.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: if there is no image, one is not a uint8 image, `titles` and columns differ in number, a
            class has a name but no color, or `cell` is too small.

    Example:

    >>> gray = np.full((10, 20), 128, np.uint8)
    >>> contact_sheet([[gray, gray], [gray, None]], titles=["image", "prediction"], cell=40).shape[-1]
    3
    """
    cell = check_integer("cell", cell, low=32)
    columns = _checked_columns(rows, titles)
    palette = as_palette(palette)
    if class_names is not None and len(class_names) > len(palette):
        raise ValueError(
            "`palette` must have a color for every name of `class_names`. "
            f"Received: {len(class_names)} names and {len(palette)} colors"
        )
    gap, text = max(4, cell // 40), max(11, cell // 20)
    font = ImageFont.load_default(text)
    images = [[_scaled(p, cell, f"rows[{i}][{j}]") for j, p in enumerate(row)] for i, row in enumerate(rows)]
    widths = [max([p.width for p in _column(images, j)], default=cell) for j in range(columns)]
    if titles is not None:
        widths = [max(w, int(font.getlength(t)) + 1) for w, t in zip(widths, titles, strict=True)]
    heights = [max([p.height for p in row if p is not None], default=0) for row in images]
    lines = [font.getlength(caption or "")] + [_entry_width(name, font, text) for name in class_names or ()]
    inner = max([sum(widths) + gap * (columns - 1), *(int(n) + 1 for n in lines)])
    legend = _legend_lines(class_names or (), font, text, inner)
    line = text + text // 2
    bands = [line if caption is not None else 0, line if titles is not None else 0]
    height = 2 * gap + sum(bands) + sum(h + gap for h in heights) + (line * len(legend) if legend else -gap)
    sheet = Image.new("RGB", (inner + 2 * gap, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = gap
    if caption is not None:
        draw.text((gap, y), caption, TEXT_COLOR, font)
        y += bands[0]
    lefts = [gap + sum(widths[:j]) + gap * j for j in range(columns)]
    if titles is not None:
        for left, width, title in zip(lefts, widths, titles, strict=True):
            draw.text((left + width / 2, y), title, TEXT_COLOR, font, anchor="ma")
        y += bands[1]
    for row, height in zip(images, heights, strict=True):
        for left, width, image in zip(lefts, widths, row, strict=False):
            if image is not None:
                corner = (left + (width - image.width) // 2, y + (height - image.height) // 2)
                sheet.paste(image, corner)
                draw.rectangle(_frame(corner, image.size), outline=_RIM)
        y += height + gap
    for entries in legend:
        for x, number, name in entries:
            swatch = (gap + x, y, gap + x + text, y + text)
            draw.rectangle(swatch, tuple(int(c) for c in palette[number]), outline=_RIM)
            draw.text((gap + x + text + text // 2, y + text // 2), name, TEXT_COLOR, font, anchor="lm")
        y += line
    return np.asarray(sheet)


def _legend_lines(names, font, text, width):
    """Lines of `(x, class, name)`, wrapped where the next entry would exceed `width`."""
    lines, x = [], width
    for number, name in enumerate(names):
        needed = _entry_width(name, font, text)
        if x + needed > width:
            lines.append([])
            x = 0
        lines[-1].append((x, number, name))
        x += needed + text
    return lines


def _entry_width(name, font, text):
    return 3 * text // 2 + int(font.getlength(name))


def _frame(corner, size):
    return (corner[0] - 1, corner[1] - 1, corner[0] + size[0], corner[1] + size[1])


def _column(images, j):
    return [row[j] for row in images if j < len(row) and row[j] is not None]


def _scaled(image, cell, name):
    if image is None:
        return None
    array = np.asarray(image)
    gray_or_color = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)
    if array.dtype != np.uint8 or not gray_or_color or not array.size:
        raise ValueError(
            f"`{name}` must be uint8 of shape (height, width) or (height, width, 3). "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    drawn = Image.fromarray(array).convert("RGB")
    scale = cell / max(drawn.size)
    size = tuple(max(1, round(n * scale)) for n in drawn.size)
    return drawn.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)


def _checked_columns(rows, titles):
    columns = max((len(row) for row in rows), default=0)
    if not any(image is not None for row in rows for image in row):
        raise ValueError(f"`rows` must contain at least one image. Received: {len(rows)} rows")
    if titles is not None and len(titles) != columns:
        raise ValueError(
            f"`titles` must have a title for each of the {columns} columns. Received: titles={titles!r}"
        )
    return columns
