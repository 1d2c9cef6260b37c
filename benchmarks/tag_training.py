"""Time of a training step on image tags, and the cost of the neighborhood loss and the mining.

python benchmarks/tag_training.py            the table of docs/results/tags.md, in about ten minutes
python benchmarks/tag_training.py --jit      with XLA as well as the plain graph
python benchmarks/tag_training.py --quick    a smoke test

Every row is `train_on_batch` of the same small U-Net on the same synthetic images: forward, loss, backward,
update. The rows run in turn, one step each per round, so that a machine that slows down slows them all. A
time is the median over the rounds, and "times" the median of the ratios within each round: to cross entropy
on full labels in the first part, to reliable region mining with its labels given in the second.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_wsseg import WeaklySupervisedModel, layers, losses, models
from keras_wsseg.data import synthetic_tags

QUICK = {"size": 32, "batch": 4, "filters": [4, 8], "rounds": 3}


def segmenter(setting):
    """The net that all rows train, from the same random weights."""
    keras.utils.set_random_seed(0)
    return models.UNet(setting.classes, filters=setting.filters, output_stride=setting.stride)


def tagged(setting, xla, loss):
    """A step of the segmenter alone."""
    model = WeaklySupervisedModel(segmenter(setting))
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss=loss, jit_compile=xla)
    return model


def mining(setting, xla, crf=None):
    """A step of both branches, whose labels are mined if `y` is tags."""
    model = models.ReliableRegionMining(
        setting.classes, models.feature_extractor(segmenter(setting)), scales=setting.scales, crf=crf
    )
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), jit_compile=xla)
    return model


def rows(setting, xla):
    """By part: name, model, and whether it trains from labels rather than tags."""
    prior, radius = losses.AdaptivePriorLoss, setting.radius
    window = layers.MeanFieldCRF(radius=radius, iterations=10)
    near = f"({2 * radius + 1}×{2 * radius + 1})"
    terms = {
        "adaptive prior": prior(),
        f"… + neighborhood, windowed {near}": prior() + losses.NeighborhoodLoss(radius=radius),
        "… + neighborhood, dense, Nyström": prior() + losses.NeighborhoodLoss(filter_method="nystrom"),
        "… + neighborhood, dense, exact": prior() + losses.NeighborhoodLoss(filter_method="exact"),
    }
    first = [("cross entropy, full labels", tagged(setting, xla, losses.PartialCrossEntropy()), True)]
    first += [(name, tagged(setting, xla, loss), False) for name, loss in terms.items()]
    second = [
        ("reliable regions, labels given", mining(setting, xla), True),
        ("… mined, no CRF", mining(setting, xla), False),
        (f"… mined, windowed CRF {near}", mining(setting, xla, window), False),
        ("… mined, dense CRF", mining(setting, xla, None), False),
    ]
    return first, second


def one_batch(setting):
    """One batch: images, labels and tags."""
    images, labels, tags, _ = synthetic_tags(setting.batch, size=setting.size)
    tags = np.pad(tags, ((0, 0), (0, setting.classes - tags.shape[1])))
    return tf.constant(images, tf.float32), tf.constant(labels, tf.int32), tf.constant(tags)


def measure(parts, setting):
    """Seconds `(rounds, rows)` of all rows of all parts, one step of each in turn."""
    images, labels, tags = one_batch(setting)
    steps = [(model, labels if labeled else tags) for part in parts for _, model, labeled in part]
    seconds = np.zeros((setting.rounds, len(steps)))
    for model, y in steps:
        model.train_on_batch(images, y)
    for turn in range(setting.rounds):
        for row, (model, y) in enumerate(steps):
            start = time.perf_counter()
            model.train_on_batch(images, y)
            seconds[turn, row] = time.perf_counter() - start
    return seconds


def main():
    """Prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--size", type=int, default=128, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--classes", type=int, default=3, help="at least 3, those of the drawn images")
    parser.add_argument("--filters", type=int, nargs="+", default=[16, 32, 64, 128], help="of the U-Net")
    parser.add_argument("--stride", type=int, default=2, help="pixels to one of the prediction")
    parser.add_argument("--radius", type=int, default=5, help="of the windows")
    parser.add_argument("--scales", type=float, nargs="+", default=[0.5, 1, 1.5, 2], help="of the maps")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--jit", action="store_true", help="XLA beside the plain graph")
    parser.add_argument("--quick", action="store_true", help="tiny images, few rounds")
    setting = parser.parse_args()
    if setting.quick:
        vars(setting).update(QUICK)
    if setting.classes < 3:
        parser.error("the drawn images need --classes of at least 3")
    modes = [False, True] if setting.jit else [False]
    parts = [part for xla in modes for part in rows(setting, xla)]
    columns = np.split(measure(parts, setting), np.cumsum([len(part) for part in parts])[:-1], axis=1)
    print(
        f"{setting.batch} images of {setting.size}×{setting.size}, {setting.classes} classes, "
        f"a prediction for every {setting.stride} pixels, U-Net of {setting.filters}\n"
    )
    print("| a step |", " | ".join("XLA | times" if xla else "graph | times" for xla in modes), "|")
    print("|---" * (1 + 2 * len(modes)) + "|")
    for number in range(2):
        for row, (name, _, _) in enumerate(parts[number]):
            cells = [
                f"{1e3 * np.median(part[:, row]):.0f} ms | {np.median(part[:, row] / part[:, 0]):.2f}"
                for part in columns[number::2]
            ]
            print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
