"""A small batch and the affinity matrices of its images, for the tests of the fully connected losses."""

import numpy as np
import oracles


def batch(size=(6, 5), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 254, 255], size=(2, *size), p=[0.1, 0.1, 0.2, 0.6])
    guide = rng.random((2, *size, 3)).astype("float32")
    return labels, guide, rng.normal(size=(2, *size, classes)).astype("float32")


def affinities(labels, guide, xy, rgb):
    """W over the pixels inside of each image, and where they are."""
    positions = np.stack(np.meshgrid(*map(np.arange, labels.shape[1:]), indexing="ij"), -1)
    for one, image in zip(labels, guide, strict=True):
        features = np.concatenate([positions / xy, image.astype("float64") / rgb], axis=-1)
        yield oracles.dense_affinity(features[one != 254]), one != 254
