"""The scores of masks that ignore the image: the object everywhere, or an ellipse in the middle.

    python benchmarks/trivial_masks.py DATA

DATA is a data folder with labels/ of a single class and val.txt. Prints the F measure (beta^2 = 0.3, all
pixels pooled) of both, the ellipse at several sizes: a network trained without labels must exceed it to have
learned anything.
"""

import argparse

import numpy as np

from keras_wsseg.data import SegmentationFolder
from keras_wsseg.metrics import GroupedConfusion


def f_measure(data, mask_of):
    """F of class 1 in points of 100, where `mask_of(height, width)` is predicted."""
    scores = GroupedConfusion(2)
    for index in range(len(data)):
        _, labels = data.load(index)
        scores.update("all", labels, mask_of(*labels.shape).astype("int64"))
    return 100 * scores.f_beta()[1]


def ellipse(share):
    """Masks of an ellipse in the middle whose axes are so large a share of the image's sides."""

    def mask(height, width):
        rows, columns = np.mgrid[:height, :width]
        down, right = (rows + 0.5) / height - 0.5, (columns + 0.5) / width - 0.5
        return down**2 + right**2 < (share / 2) ** 2

    return mask


def main():
    """Prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", metavar="DATA")
    data = SegmentationFolder(parser.parse_args().data, annotation="labels", split="val", num_classes=2)
    print(f"everything           {f_measure(data, lambda height, width: np.ones((height, width))):5.1f}")
    for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        print(f"ellipse, axes {share:.0%}   {f_measure(data, ellipse(share)):5.1f}")


if __name__ == "__main__":
    main()
