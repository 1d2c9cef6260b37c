"""Does a lower CRF loss mean a better mask? Table 1 of Veksler 2020, for the sparse and the dense CRF.

    python benchmarks/loss_correlation.py DATA --out loss_correlation.png

DATA is a data folder with labels/ of a single class and train.txt, of which every fifth image is held out.
A small U-Net is trained on the labels of the others by cross entropy. At snapshots of that training, close
together at first, the F measure (beta 0.3**0.5; per image, then the mean) and the regularized losses, which
use no annotation, are computed on the held-out images from its probabilities (`--hard`: its most probable
labels): the CRFs alone, and the whole loss of the single class recipe. Prints the numbers and Pearson's
coefficients of each loss with F and plots them; needs matplotlib (extra `benchmarks`).
"""

import argparse

import keras
import numpy as np

from keras_wsseg import WeaklySupervisedModel, losses, models, targets
from keras_wsseg.data import SegmentationFolder
from keras_wsseg.imaging.labels import PADDING, UNLABELED

BETA = 0.3**0.5
PAPER = {
    "sparse CRF": "-0.862 / -0.895 / -0.956 / -0.957",
    "dense CRF": "-0.830 / -0.758 / -0.772 / -0.896",
    "whole loss": "",
}


class Snapshots(keras.callbacks.Callback):
    """F and each loss on the held-out images, after chosen steps."""

    def __init__(self, segmenter, images, labels, value_range, steps, measured, hard):
        super().__init__()
        low, high = value_range
        self.segmenter, self.images, self.labels, self.measured = segmenter, images, labels, measured
        unlabeled = np.where(labels == PADDING, PADDING, UNLABELED)
        self.packed = targets.pack(unlabeled, (images - low) / (high - low))
        self.steps, self.hard, self.rows = set(steps), hard, []

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 in self.steps:
            logits = self.segmenter.predict(self.images, batch_size=16, verbose=0)
            f = f_measure(self.labels, logits)
            if self.hard:
                logits = np.where(logits == logits.max(axis=-1, keepdims=True), 30.0, -30.0)
            # All images at once: the dense loss is a ratio of two sums over the batch.
            values = [float(loss(self.packed, logits)) for loss in self.measured.values()]
            self.rows.append((batch + 1, f, *values))
            print("{:6d} {:7.4f}".format(*self.rows[-1]), *(f"{v:11.5f}" for v in values), flush=True)


def f_measure(labels, logits):
    """Mean over the images of F of the more probable label."""
    known = labels < PADDING
    true, found = (labels == 1) & known, (logits[..., 1] > logits[..., 0]) & known
    hits, true, found = (mask.sum(axis=(1, 2)) for mask in (true & found, true, found))
    return float(np.mean((1 + BETA**2) * hits / np.maximum(BETA**2 * true + found, 1)))


def main():
    """Trains once, prints and draws."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--out", default="loss_correlation.png")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--first", type=int, default=10, help="step of the first snapshot")
    parser.add_argument("--snapshots", type=int, default=20)
    parser.add_argument("--size", type=int, default=128, help="side of the resized images")
    parser.add_argument("--sigma-xy", type=float, default=25.0, help="of the dense CRF, in resized pixels")
    parser.add_argument("--hard", action="store_true", help="losses of the labels, not of probabilities")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    names = SegmentationFolder(arguments.data, "labels", split="train").names
    held_out = SegmentationFolder(arguments.data, "labels", names=names[::5])
    rest = [name for place, name in enumerate(names) if place % 5]
    data = SegmentationFolder(arguments.data, "labels", names=rest)
    segmenter = models.UNet(2, filters=(12, 24, 48, 96), channels=data.channels, value_range=data.value_range)
    measured = {
        "sparse CRF": losses.SparseCRFLoss(),
        "dense CRF": losses.DenseCRFLoss(weight=1.0, sigma_xy=arguments.sigma_xy),
        "whole loss": losses.SingleClassLoss(),
    }
    resized = {"mode": "resize", "cache": False}
    batch = held_out.train(len(held_out), arguments.size, flip=False, shuffle=False, **resized)
    images, labels = (np.array(part) for part in next(iter(batch)))
    steps = np.geomspace(arguments.first, arguments.steps, arguments.snapshots).round().astype(int)
    snapshots = Snapshots(
        segmenter, images, labels, data.value_range, steps.tolist(), measured, arguments.hard
    )

    model = WeaklySupervisedModel(segmenter, value_range=data.value_range)
    model.compile(keras.optimizers.Adam(1e-3), loss=losses.PartialCrossEntropy())
    print("  step       F", *(f"{name:>11}" for name in measured))
    batches = data.train(16, arguments.size, mode="resize", seed=arguments.seed, repeat=True)
    model.fit(batches, steps_per_epoch=arguments.steps, verbose=0, shuffle=False, callbacks=[snapshots])
    table = np.array(snapshots.rows)
    coefficients = {
        name: np.corrcoef(table[:, 1], table[:, 2 + column])[0, 1] for column, name in enumerate(measured)
    }
    for name, value in coefficients.items():
        print(f"{name}: correlation with F {value:.3f}   (paper: {PAPER[name] or 'not given'})")
    draw(table, coefficients, arguments.out)


def draw(table, coefficients, path):
    """Writes each loss against F as an image."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(coefficients), figsize=(4 * len(coefficients), 3.6))
    for column, ((name, value), axes) in enumerate(zip(coefficients.items(), panels, strict=True)):
        order = {"c": np.log(table[:, 0]), "cmap": "viridis"}
        axes.scatter(table[:, 2 + column], table[:, 1], **order)
        axes.set_title(f"{name}: r = {value:.3f}")
        axes.set_xlabel("loss on the held-out images")
    panels[0].set_ylabel("F, β² = 0.3")
    figure.suptitle("Snapshots of a training with labels, early (dark) to late (bright)")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
