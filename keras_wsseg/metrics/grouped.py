"""Scores per group of images, such as the slices of one patient."""

import warnings

import numpy as np

from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.metrics.classes import class_count


class GroupedConfusion:
    """Scores of volumes predicted slice by slice: one confusion matrix per group of images.

    The standard score of cardiac segmentation is the Dice score of the whole volume, averaged over patients
    and frames: neither the mean over slices, where an empty slice counts as much as a full one, nor the score
    of all pixels pooled, where a large heart counts more than a small one. For groups g (a patient and
    frame),

        Dice_c = 1/n_c Σ_g 2 TP_gc / (2 TP_gc + FP_gc + FN_gc)

    over the n_c groups in whose ground truth or prediction class c occurs. Pixels labeled 255 (unlabeled) or
    254 (outside the image) are ignored.

    Args:
        num_classes: number of classes, 2 to 254.

    Raises:
        ValueError: if `num_classes` is not within 2 to 254.

    Example:

    >>> scores = GroupedConfusion(2)
    >>> scores.update("patient1", np.array([[0, 1, 1]]), np.array([[0, 1, 1]]))
    >>> scores.update("patient2", np.array([[0, 1, 1]]), np.array([[0, 0, 0]]))
    >>> scores.update("patient2", np.array([[1, 1, 1]]), np.array([[1, 1, 0]]))
    >>> scores.dice().round(4).tolist()
    [0.7, 0.7857]
    >>> round(scores.mean_dice(), 4)
    0.7857

    Source: Bernard et al., "Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation
    and Diagnosis: Is the Problem Solved?", 2018, section IV.
    """

    def __init__(self, num_classes):
        self.num_classes = class_count(num_classes)
        self._confusions = {}

    def update(self, group, labels, prediction):
        """Adds the counts of one or more images of a group.

        Args:
            group: name of the group; any hashable.
            labels: integer array of any shape, the true classes; 255 and 254 are ignored.
            prediction: integer array of the same shape, the predicted classes.

        Raises:
            TypeError: if one of them is not an integer array.
            ValueError: if the shapes differ or a class id is out of range.
        """
        labels, prediction = np.asarray(labels), np.asarray(prediction)
        for name, array in (("labels", labels), ("prediction", prediction)):
            if array.dtype.kind not in "iu":
                raise TypeError(f"`{name}` must be an integer array. Received: dtype={array.dtype}")
        if labels.shape != prediction.shape:
            raise ValueError(
                "`prediction` must have the shape of `labels`. "
                f"Received: labels.shape={labels.shape}, prediction.shape={prediction.shape}"
            )
        valid = (labels != UNLABELED) & (labels != PADDING)
        labels, prediction = labels[valid].astype("int64"), prediction[valid].astype("int64")
        for name, ids in (("labels", labels), ("prediction", prediction)):
            wrong = ids[(ids < 0) | (ids >= self.num_classes)]
            if wrong.size:
                raise ValueError(
                    f"`{name}` must hold class ids from 0 to {self.num_classes - 1}. "
                    f"Received: {wrong[0]} in group {group!r}"
                )
        cells = np.bincount(labels * self.num_classes + prediction, minlength=self.num_classes**2)
        counts = cells.reshape(self.num_classes, self.num_classes)
        self._confusions[group] = self._confusions.get(group, 0) + counts

    @property
    def groups(self):
        """Names of the groups seen, in order of appearance."""
        return list(self._confusions)

    @property
    def confusion_matrix(self):
        """`(num_classes, num_classes)` int64, all groups pooled: `[i, j]` counts class i predicted as j."""
        return self._stack().sum(0)

    def dice_per_group(self):
        """`(groups, num_classes)` Dice scores; NaN for a class in neither ground truth nor prediction."""
        hits, sizes = self._hits_and_sizes()
        return _ratio(2 * hits, sizes)

    def iou_per_group(self):
        """`(groups, num_classes)` IoU scores; NaN for a class in neither ground truth nor prediction."""
        hits, sizes = self._hits_and_sizes()
        return _ratio(hits, sizes - hits)

    def f_beta_per_group(self, beta=0.3**0.5):
        """`(groups, num_classes)` F measures; NaN for a class in neither ground truth nor prediction."""
        beta_squared = float(check_number("beta", beta, low=0)) ** 2
        stack = self._stack()
        hits, true, found = np.diagonal(stack, axis1=1, axis2=2), stack.sum(2), stack.sum(1)
        # A class that occurs but is never found scores 0, even if β² = 0 would make the denominator 0.
        weighted = np.where(hits > 0, beta_squared * true + found, true + found)
        return _ratio((1 + beta_squared) * hits, weighted)

    def f_beta(self, beta=0.3**0.5):
        """`(num_classes,)` F measure of each class, averaged over the groups where it occurs, else NaN.

        See `FBeta` for the formula; if all images are in one group, their pixels are pooled as in `FBeta`.

        Args:
            beta: β, finite and at least 0: the weight of recall relative to precision. By default √0.3.

        Raises:
            ValueError: if `beta` is out of range.
        """
        return _mean_over_groups(self.f_beta_per_group(beta))

    def mean_f_beta(self, beta=0.3**0.5):
        """Mean of `f_beta()` over the foreground classes (all but class 0) that occur; 0 if none does."""
        return _mean_or_zero(self.f_beta(beta)[1:])

    def dice(self):
        """`(num_classes,)` Dice score of each class, averaged over the groups where it occurs, else NaN."""
        return _mean_over_groups(self.dice_per_group())

    def iou(self):
        """`(num_classes,)` IoU of each class, averaged over the groups where it occurs, else NaN."""
        return _mean_over_groups(self.iou_per_group())

    def mean_dice(self):
        """Mean of `dice()` over the foreground classes (all but class 0) that occur; 0 if none does."""
        return _mean_or_zero(self.dice()[1:])

    def mean_iou(self):
        """Mean of `iou()` over all classes that occur; 0 if none does."""
        return _mean_or_zero(self.iou())

    def _stack(self):
        shape = (len(self._confusions), self.num_classes, self.num_classes)
        return np.array(list(self._confusions.values()), dtype="int64").reshape(shape)

    def _hits_and_sizes(self):
        stack = self._stack()
        return np.diagonal(stack, axis1=1, axis2=2), stack.sum(1) + stack.sum(2)


def _ratio(numerator, denominator):
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _mean_over_groups(scores):
    with warnings.catch_warnings():
        # The mean of a class that occurs in no group is NaN by intent.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(scores, axis=0)


def _mean_or_zero(scores):
    scores = scores[~np.isnan(scores)]
    return float(scores.mean()) if scores.size else 0.0
