"""Small generated images, for demonstrations without downloads."""

import numpy as np
from scipy import ndimage

from keras_wsseg.arguments import check_integer

SHAPE_NAMES = ("background", "ellipse", "polygon", "ring")
TAG_NAMES = ("background", "disc", "square")


def synthetic_shapes(count, size=96, num_classes=4, seed=0):
    """Textured shapes on a cluttered background, with exact labels.

    Shape determines the class and color only helps: each class has a tint, but tints vary, the background
    contains strokes of all of them, and lighting, noise and blur differ from image to image. A small network
    learns it in a minute, and from scribbles alone its borders stay visibly ragged.

    Args:
        count: number of images.
        size: height and width in pixels, at least 32.
        num_classes: 2 to 4: background, ellipses, polygons, rings.
        seed: non-negative integer; the same seed gives the same images, and a larger `count` begins with
            those of a smaller one.

    Returns:
        `(images, labels, class_names)`: uint8 `(count, size, size, 3)`, uint8 `(count, size, size)` with
        every pixel labeled, and a tuple of `num_classes` names.

    Raises:
        ValueError: an argument is out of range.

    Example:

    >>> images, labels, names = synthetic_shapes(2, size=48)
    >>> images.shape, labels.shape, names
    ((2, 48, 48, 3), (2, 48, 48), ('background', 'ellipse', 'polygon', 'ring'))
    """
    check_integer("count", count, low=1)
    check_integer("size", size, low=32)
    check_integer("num_classes", num_classes, low=2, high=len(SHAPE_NAMES))
    drawn = [_image(size, num_classes, np.random.default_rng((seed, index))) for index in range(count)]
    images, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    return images, labels, SHAPE_NAMES[:num_classes]


def synthetic_object(count, size=64, seed=0, present=True):
    """Images of one textured object each, near the middle of a cluttered background, with exact labels.

    For experiments that learn one class from images alone: the object fills about a quarter of the image, its
    color is distinct but varies, and the background contains strokes of the same color.

    Args:
        count: number of images.
        size: height and width in pixels, at least 32.
        seed: non-negative integer; the same seed gives the same images.
        present: whether there is an object; without, the images are background only, for negatives.

    Returns:
        `(images, labels, class_names)`: uint8 `(count, size, size, 3)`, uint8 `(count, size, size)` of 0 and
        1, and `("background", "ellipse")`.

    Raises:
        ValueError: an argument is out of range.

    Example:

    >>> images, labels, names = synthetic_object(2, size=32)
    >>> images.shape, np.unique(labels).tolist(), names
    ((2, 32, 32, 3), [0, 1], ('background', 'ellipse'))
    """
    check_integer("count", count, low=1)
    check_integer("size", size, low=32)
    drawn = [_one_object(size, present, np.random.default_rng((seed, index))) for index in range(count)]
    images, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    return images, labels, SHAPE_NAMES[:2]


def synthetic_tags(count, size=64, seed=0):
    """Images of a blotchy disc, a striped square, both or none on a cluttered background, with their tags.

    For experiments that learn masks from tags alone, where the labels serve only for evaluation. Each object
    fills 15 to 30 % of its image. Tints vary until they overlap, and the background contains strokes of all
    of them: color and pattern together, common to the images of one tag, identify its pixels.

    Args:
        count: number of images; in turn they contain none, a disc, a square, and both.
        size: height and width in pixels, at least 32.
        seed: non-negative integer; the same seed gives the same images, and a larger `count` begins with
            those of a smaller one.

    Returns:
        `(images, labels, tags, class_names)`: uint8 `(count, size, size, 3)`; uint8 `(count, size, size)`,
        every pixel labeled; float32 `(count, 3)` of 0 and 1, column 0 always 1; and
        `("background", "disc", "square")`.

    Raises:
        ValueError: an argument is out of range.

    Example:

    >>> images, labels, tags, names = synthetic_tags(4, size=32)
    >>> tags.tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
    """
    check_integer("count", count, low=1)
    check_integer("size", size, low=32)
    held = [((), (1,), (2,), (1, 2))[index % 4] for index in range(count)]
    drawn = [
        _tagged(size, objects, np.random.default_rng((seed, index))) for index, objects in enumerate(held)
    ]
    images, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    tags = np.array([[1, 1 in objects, 2 in objects] for objects in held], np.float32)
    return images, labels, tags, TAG_NAMES


# Tints of the classes, red, green and blue; close enough for their variations to overlap.
_TINTS = np.array([[0.45, 0.47, 0.43], [0.68, 0.38, 0.32], [0.35, 0.50, 0.66], [0.62, 0.60, 0.30]])


def _image(size, num_classes, random):
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    image = _background_texture(size, num_classes, random)
    labels = np.zeros((size, size), np.uint8)
    wanted = random.integers(3, 6)
    for attempt in range(40):
        class_id = (
            1 + (attempt + wanted) % (num_classes - 1) if attempt < 3 else random.integers(1, num_classes)
        )
        radius = size * random.uniform(0.11, 0.2)
        center = random.uniform(0.75 * radius, size - 0.75 * radius, 2)
        inside = _form(class_id, rows - center[0], columns - center[1], radius, random)
        # A gap between shapes keeps each whole, so that its outline identifies its class.
        if not inside.any() or (labels[ndimage.binary_dilation(inside, iterations=2)] > 0).any():
            continue
        labels[inside] = class_id
        soft = ndimage.gaussian_filter(inside.astype(float), 0.5)[..., None]
        image = image * (1 - soft) + _surface(size, _TINTS[class_id], random) * soft
        wanted -= 1
        if wanted == 0:
            break
    return _in_light(image, random), labels


def _one_object(size, present, random):
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    image = _background_texture(size, 2, random)
    labels = np.zeros((size, size), np.uint8)
    if present:
        center = size / 2 + random.uniform(-0.1, 0.1, 2) * size
        inside = _form(1, rows - center[0], columns - center[1], size * random.uniform(0.3, 0.42), random)
        labels[inside] = 1
        soft = ndimage.gaussian_filter(inside.astype(float), 0.5)[..., None]
        image = image * (1 - soft) + _surface(size, _TINTS[1], random) * soft
    return _in_light(image, random), labels


def _tagged(size, objects, random):
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    image = _background_texture(size, 3, random)
    labels = np.zeros((size, size), np.uint8)
    # Two objects are in opposite corners, and small enough not to touch.
    turn = random.uniform(-0.25, 0.25) + np.pi / 4 + np.pi / 2 * random.integers(4)
    for number, class_id in enumerate(objects):
        low, high = (0.17, 0.3) if len(objects) == 1 else (0.155, 0.19)
        area = random.uniform(low, high) * size**2
        reach = random.uniform(0.05, 0.15) if len(objects) == 1 else random.uniform(0.31, 0.35)
        angle = turn + np.pi * number
        center = size / 2 + reach * size * np.array([np.sin(angle), np.cos(angle)])
        down, right = rows - center[0] + 0.5, columns - center[1] + 0.5
        if class_id == 1:
            inside = np.hypot(down, right) < np.sqrt(area / np.pi)
        else:
            lean = random.uniform(-0.2, 0.2)
            along = np.abs(np.cos(lean) * down + np.sin(lean) * right)
            across = np.abs(np.cos(lean) * right - np.sin(lean) * down)
            inside = np.maximum(along, across) < np.sqrt(area) / 2
        labels[inside] = class_id
        soft = ndimage.gaussian_filter(inside.astype(float), 0.5)[..., None]
        surface = _surface(size, _TINTS[class_id], random, stripes=class_id == 2)
        image = image * (1 - soft) + surface * soft
    return _in_light(image, random), labels


def _in_light(image, random):
    """The image under uneven light, slightly blurred and noisy, as uint8."""
    size = len(image)
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0.1, 0.35)
    slope = (np.cos(angle) * (rows / size - 0.5) + np.sin(angle) * (columns / size - 0.5)) * 2
    image = image * (random.uniform(0.8, 1.15) + strength * slope)[..., None]
    image = ndimage.gaussian_filter(image, (random.uniform(0.3, 0.8),) * 2 + (0,))
    image = image + random.normal(0, random.uniform(0.015, 0.04), image.shape)
    return np.clip(np.round(image * 255), 0, 255).astype(np.uint8)


def _noise(size, grain, random):
    """Smooth noise of mean 0 and deviation 1."""
    noise = ndimage.gaussian_filter(random.standard_normal((size, size)), grain, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _surface(size, tint, random, stripes=None):
    """A tint with random variation, stripes or blotches (either by default), and soft shading."""
    rows, columns = np.mgrid[:size, :size]
    tint = tint + random.normal(0, 0.055, 3)
    if random.random() < 0.5 if stripes is None else stripes:
        angle, period = random.uniform(0, np.pi), random.uniform(4, 9)
        pattern = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * 2 * np.pi / period)
    else:
        pattern = _noise(size, random.uniform(1, 2.5), random)
    shade = 0.05 * pattern * random.uniform(0.4, 1.2) + 0.05 * _noise(size, size / 10, random)
    return tint + shade[..., None]


def _background_texture(size, num_classes, random):
    image = _surface(size, _TINTS[0], random) + 0.07 * _noise(size, size / 7, random)[..., None]
    for _ in range(random.integers(10, 20)):
        tint = _TINTS[random.integers(num_classes)] * random.uniform(0.75, 1.1)
        center, long = random.uniform(0, size, 2), random.uniform(0.03, 0.3) * size
        angle, thick = random.uniform(0, np.pi), random.uniform(1.0, 2.2)
        rows, columns = np.mgrid[:size, :size] - center[:, None, None]
        along = np.cos(angle) * rows + np.sin(angle) * columns
        across = np.cos(angle) * columns - np.sin(angle) * rows
        stroke = ((np.abs(along) < long / 2) & (np.abs(across) < thick)).astype(float)[..., None]
        image = image * (1 - 0.8 * stroke) + tint * 0.8 * stroke
    return image


def _form(class_id, rows, columns, radius, random):
    """Pixels of one shape around the origin."""
    angle = random.uniform(0, 2 * np.pi)
    along = np.cos(angle) * rows + np.sin(angle) * columns
    across = np.cos(angle) * columns - np.sin(angle) * rows
    distance = np.hypot(along, across / random.uniform(0.55, 0.95))
    if class_id == 1:
        return distance < radius
    if class_id == 3:
        return (distance < 1.1 * radius) & (distance > random.uniform(0.5, 0.62) * radius)
    corners = random.integers(3, 6)
    directions = np.arange(corners) * 2 * np.pi / corners + random.normal(0, 0.12, corners)
    sides = [np.cos(turn) * along + np.sin(turn) * across for turn in directions]
    return np.max(sides, axis=0) < radius * np.cos(np.pi / corners) * 1.15
