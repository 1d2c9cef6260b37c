"""Which minimizes the dense CRF energy better: gradient descent or ADM (figure 3 of Tang et al. 2018)?

    python benchmarks/adm_versus_gradient.py DATA --out adm.png

DATA is a data folder with scribbles/ and train.txt. A small U-Net is trained on the scribbles by cross
entropy alone; from those weights training continues once with the dense CRF loss added, and once with the ADM
loss added, on the same batches for as many steps. Every few steps the dense CRF energy of the same training
images is computed for both. Prints the energies and plots them; needs matplotlib (extra `benchmarks`).
"""

import argparse
import itertools

import keras
import numpy as np

from keras_wsseg import WeaklySupervisedModel, losses, models, targets
from keras_wsseg.data import SegmentationFolder


class EnergyLog(keras.callbacks.Callback):
    """Dense CRF energy of some images, every few steps."""

    def __init__(self, segmenter, images, labels, energy, value_range, every):
        super().__init__()
        low, high = value_range
        self.segmenter, self.images, self.energy, self.every = segmenter, images, energy, every
        self.packed = targets.pack(labels, (images - low) / (high - low))
        self.steps, self.values = [], []

    def on_train_begin(self, logs=None):
        self.record(0)

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % self.every == 0:
            self.record(batch + 1)

    def record(self, step):
        """Appends the energy of now."""
        self.steps.append(step)
        logits = self.segmenter.predict_on_batch(self.images)
        self.values.append(float(self.energy(self.packed, logits)))


def main():
    """Trains three times, prints and draws."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--out", default="adm_versus_gradient.png")
    parser.add_argument("--steps", type=int, default=150, help="of each phase")
    parser.add_argument("--crop", type=int, default=144)
    parser.add_argument("--sigma-xy", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    data = SegmentationFolder(arguments.data, annotation="scribbles", split="train")
    widths = {"sigma_xy": arguments.sigma_xy}

    def batches(seed):
        return data.train(8, arguments.crop, scale=(0.8, 1.25), seed=seed, repeat=True)

    segmenter = models.UNet(
        data.num_classes,
        filters=(12, 24, 48, 96),
        channels=data.channels,
        value_range=data.value_range,
    )

    def fit(loss, seed, callbacks=()):
        model = WeaklySupervisedModel(segmenter, value_range=data.value_range)
        model.compile(keras.optimizers.Adam(1e-3), loss=loss)
        options = {"steps_per_epoch": arguments.steps, "verbose": 0, "shuffle": False}
        model.fit(batches(seed), callbacks=list(callbacks), **options)

    fit(losses.PartialCrossEntropy(), 0)
    start = segmenter.get_weights()
    energy = losses.DenseCRFLoss(weight=1.0, **widths)
    ways = {
        "gradient descent, λ = 1": losses.DenseCRFLoss(weight=1.0, **widths),
        "gradient descent, λ = 2": losses.DenseCRFLoss(weight=2.0, **widths),
        "ADM, coupling 2": losses.ADMLoss(weight=1.0, coupling=2.0, **widths),
        "ADM, coupling 5": losses.ADMLoss(weight=1.0, coupling=5.0, **widths),
    }
    images, labels = next(iter(batches(99)))
    curves = {}
    for name, loss in ways.items():
        segmenter.set_weights(start)
        every = max(1, arguments.steps // 10)
        log = EnergyLog(segmenter, np.array(images), np.array(labels), energy, data.value_range, every)
        fit(losses.PartialCrossEntropy() + loss, 1, [log])
        curves[name] = (log.steps, log.values)
        print(f"{name}: dense CRF energy {log.values[0]:.4f} -> {log.values[-1]:.4f}", flush=True)
    draw(curves, arguments.out)


def draw(curves, path):
    """Writes the curves as an image."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    for (name, (steps, values)), line in zip(curves.items(), itertools.cycle(("-", "--")), strict=False):
        axes.plot(steps, values, line, color="tab:red" if "ADM" in name else "tab:blue", label=name)
    axes.set_xlabel("step after cross entropy alone")
    axes.set_ylabel("dense CRF energy / kernel mass")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
