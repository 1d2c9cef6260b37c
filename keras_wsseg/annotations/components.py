"""The regions that an annotator would treat as one thing."""

import numpy as np
from scipy import ndimage

from keras_wsseg.imaging.labels import OUTSIDE

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def components(labels, instances=None):
    """The 8-connected components of every class, or whole instances where those are known.

    Args:
        labels: uint8 array `(height, width)`; 254 and 255 belong to no class.
        instances: integer array `(height, width)`; pixels of one class with the same positive number are one
            thing even where something in front of it cuts it apart, 0 where nothing is known.

    Yields:
        `(class id, (row slice, column slice), mask)`, the mask covering those slices; classes ascend, and
        within a class known instances come first.

    Example:

    >>> [(c, int(m.sum())) for c, _, m in components(np.array([[0, 1, 0], [1, 255, 1]], np.uint8))]
    [(0, 1), (0, 1), (1, 3)]
    """
    for class_id in np.unique(labels[labels < OUTSIDE]).tolist():
        loose = labels == class_id
        if instances is not None:
            numbers = np.where(loose & (instances > 0), instances, 0)
            loose &= numbers == 0
            _, dense = np.unique(numbers, return_inverse=True)
            dense = dense.reshape(labels.shape) + (0 if (numbers == 0).any() else 1)
            yield from _regions(class_id, dense)
        yield from _regions(class_id, ndimage.label(loose, EIGHT_NEIGHBOURS)[0])


def _regions(class_id, numbered):
    for number, window in enumerate(ndimage.find_objects(numbered), start=1):
        yield class_id, window, numbered[window] == number
