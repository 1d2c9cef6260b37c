"""The gradient of a loss overlaid on the image (figure 1 of Tang et al. 2018, arXiv:1803.09569).

    python examples/loss_gradient.py --out docs/gradient.png

A synthetic image, a prediction whose shapes are too large, and the dense CRF's gradient for each class: red
where it favors more of the class, yellow where less. The bands lie between the boundaries of the prediction
and those of the image. For a trained segmenter and your own images, use `keras-wsseg gradient`.
"""

import argparse

import numpy as np
from scipy.ndimage import binary_dilation

from keras_wsseg import losses, visualization
from keras_wsseg.data import synthetic_shapes


def main(argv=None):
    """Draws the sheet."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", default="gradient.png", help="output image")
    arguments = parser.parse_args(argv)
    images, labels, names = synthetic_shapes(1, size=128, seed=3)
    grown = labels[0].copy()
    for shape in range(1, len(names)):
        grown[binary_dilation(labels[0] == shape, iterations=7) & (labels[0] == 0)] = shape
    prediction = 0.9 * np.eye(len(names))[grown] + 0.1 / len(names)
    loss = losses.DenseCRFLoss(resolution=1.0, sigma_xy=25.0)
    sheet = visualization.gradient_sheet(
        loss, images[0], labels[0], prediction, class_names=names, show="change"
    )
    visualization.write_png(arguments.out, sheet)


if __name__ == "__main__":
    main()
