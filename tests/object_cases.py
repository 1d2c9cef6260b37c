"""A batch of images with and without an object, and by hand what the losses of one object make of it."""

import numpy as np
import oracles

OBJECT, CLASSES = 2, 4


def batch(size=(8, 10), seed=0, object_class=OBJECT):
    """Labels, images and logits of three positive images, two negative ones and an empty one."""
    rng = np.random.default_rng(seed)
    labels = np.full((6, *size), 255)
    others = [k for k in range(CLASSES) if k != object_class]
    labels[1] = rng.choice(others, size=size)
    labels[1, :2, :3] = 254
    labels[2, :, -2:] = 254
    labels[3] = 254
    labels[4] = rng.choice([0, object_class, 254], p=[0.4, 0.5, 0.1], size=size)
    labels[5] = 0
    labels[5, -2:] = 254
    # Next to no object in the third image, and much of it in the first.
    shift = np.array([2.0, 0.0, -3.0, 0.0, 0.0, 1.0])[:, None, None]
    logits = rng.normal(size=(6, *size, CLASSES))
    logits[..., object_class] += shift
    return labels, rng.random((6, *size, 3)).astype("float32"), logits.astype("float32")


def kinds(labels, object_class=OBJECT):
    """Of each image whether it holds the object, or None where it has no pixel."""
    found = [set(one[one != 254].tolist()) for one in labels]
    return [None if not ids else bool(ids & {255, object_class}) for ids in found]


def on_grid(labels, images, size):
    """Which cells of a coarser grid lie wholly inside, and the mean color of each."""
    rows, columns = labels.shape[1] // size[0], labels.shape[2] // size[1]
    inside, means = np.zeros((len(labels), *size), bool), np.zeros((len(labels), *size, images.shape[-1]))
    for i, row, column in np.ndindex(inside.shape):
        cell = (i, slice(row * rows, (row + 1) * rows), slice(column * columns, (column + 1) * columns))
        inside[i, row, column] = (labels[cell] != 254).all()
        means[i, row, column] = images[cell].astype("float64").mean(axis=(0, 1))
    return inside, means


def terms(labels, images, x, object_class=OBJECT, sigma_rgb=0.15, border=3, center=3, **volumetric):
    """The unweighted value of each term on the grid of the object's probability x, by its name."""
    inside, means = on_grid(labels, images, x.shape[1:])
    known = kinds(labels, object_class)
    positive = [i for i, kind in enumerate(known) if kind is True]
    negative = [i for i, kind in enumerate(known) if kind is False]
    shares = {i: oracles.mean_where(x[i], inside[i]) for i in positive + negative}
    crf = [oracles.sparse_crf(x[i], means[i], sigma_rgb, inside[i]) for i in positive]
    place = [oracles.positional(x[i], border, center, inside[i]) for i in positive]
    return {
        "sparse_crf": np.mean(crf),
        "volumetric": oracles.volumetric([shares[i] for i in positive], **volumetric),
        "positional": np.mean(place),
        "negative": np.mean([shares[i] ** 2 for i in negative]),
    }
