"""The regions that an annotator would treat as one thing."""

import numpy as np
from scipy import ndimage

from keras_wsseg.imaging.labels import PADDING

EIGHT_NEIGHBORS = np.ones((3, 3), bool)


def components(labels, instances=None):
    """The 8-connected components of every class, or of its instances if known.

    Args:
        labels: uint8 array `(height, width)`; 254 and 255 belong to no class.
        instances: integer array `(height, width)`: adjacent pixels of one class with different positive
            numbers belong to two things; 0 for unknown.

    Yields:
        `(class id, (row slice, column slice), mask)`, the mask covering those slices; classes ascend, and
        within a class known instances come first.

    Example:

    >>> [(c, int(m.sum())) for c, _, m in components(np.array([[0, 1, 0], [1, 255, 1]], np.uint8))]
    [(0, 1), (0, 1), (1, 3)]
    """
    for class_id in np.unique(labels[labels < PADDING]).tolist():
        loose = labels == class_id
        if instances is not None:
            numbers = np.where(loose & (instances > 0), instances, 0)
            loose &= numbers == 0
            _, dense = np.unique(numbers, return_inverse=True)
            dense = dense.reshape(labels.shape) + (0 if (numbers == 0).any() else 1)
            for number, window in enumerate(ndimage.find_objects(dense), start=1):
                yield from _connected(class_id, dense[window] == number, window)
        yield from _connected(class_id, loose)


def _connected(class_id, mask, window=(slice(0, None), slice(0, None))):
    numbered, _ = ndimage.label(mask, EIGHT_NEIGHBORS)
    for number, inner in enumerate(ndimage.find_objects(numbered), start=1):
        place = tuple(
            slice(outer.start + part.start, outer.start + part.stop)
            for outer, part in zip(window, inner, strict=True)
        )
        yield class_id, place, numbered[inner] == number
