"""Slow loops in NumPy, float64: class activation maps and reliable labels as Zhang et al. define them."""

import math

import numpy as np


def resized(image, size):
    """Bilinear interpolation of `(height, width)` with half-pixel centers, pixel by pixel."""
    out = np.zeros(size)
    for index in np.ndindex(size):
        corners = []
        for axis in (0, 1):
            place = (index[axis] + 0.5) * image.shape[axis] / size[axis] - 0.5
            place = min(max(place, 0.0), image.shape[axis] - 1)
            lower = math.floor(place)
            upper = min(lower + 1, image.shape[axis] - 1)
            corners.append(((lower, 1 - (place - lower)), (upper, place - lower)))
        out[index] = sum(a * b * image[row, column] for row, a in corners[0] for column, b in corners[1])
    return out


def resized_image(image, size):
    """The same for each channel of `(height, width, channels)`."""
    return np.stack([resized(image[..., c].astype("float64"), size) for c in range(image.shape[-1])], -1)


def class_activation(score_maps, tags, size, background_exponent, inside=None):
    """P of one image: a list of `(h', w', classes - 1)` to `(height, width, classes)`."""
    inside = np.ones(size, bool) if inside is None else inside
    maps = np.zeros((*size, len(tags)))
    for c in range(1, len(tags)):
        if not tags[c]:
            continue
        mean = np.mean([resized(np.maximum(scores[..., c - 1], 0), size) for scores in score_maps], axis=0)
        peak = max((mean[pixel] for pixel in np.ndindex(size) if inside[pixel]), default=0.0)
        for pixel in np.ndindex(size):
            if inside[pixel] and peak > 0:
                maps[pixel][c] = mean[pixel] / peak
    for pixel in np.ndindex(size):
        maps[pixel][0] = (1 - max(maps[pixel][1:])) ** background_exponent
    return maps


def confident(maps, keep_fraction, inside=None, tags=None):
    """I_cam of one image: argmax where at least the share of its class is no surer, else 255."""
    size, classes = maps.shape[:2], maps.shape[-1]
    labels = np.full(size, 255)
    known = [c for c in range(classes) if tags is None or c == 0 or tags[c]]
    first = {
        pixel: max(known, key=lambda c, pixel=pixel: (maps[pixel][c], -c))
        for pixel in np.ndindex(size)
        if inside is None or inside[pixel]
    }
    for c in known:
        own = [pixel for pixel in first if first[pixel] == c]
        ranked = sorted((maps[pixel][c] for pixel in own), reverse=True)
        stay = next((n for n in range(len(own) + 1) if n >= keep_fraction * len(own) - 1e-9), 0)
        for pixel in own:
            if maps[pixel][c] >= ranked[stay - 1]:
                labels[pixel] = c
    if inside is not None:
        labels[~np.asarray(inside, bool)] = 254
    return labels


def agreeing(labels, others):
    """The labels of two maps where they are equal, 255 elsewhere; 254 stays."""
    out = np.full(labels.shape, 255)
    for pixel in np.ndindex(labels.shape):
        if labels[pixel] == others[pixel] or labels[pixel] == 254:
            out[pixel] = labels[pixel]
    return out


def linear_scores(image, kernel, scale):
    """What a net of one 1x1 convolution without bias says of an image resized by a factor."""
    size = tuple(max(1, math.floor(pixels * scale + 0.5)) for pixels in image.shape[:2])
    return resized_image(image, size) @ np.asarray(kernel, "float64")
