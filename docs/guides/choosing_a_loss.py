"""
Choosing a loss

Which loss fits which annotation, what each costs, and how to combine them. All losses of the library add
and scale, `PartialCrossEntropy() + 0.5 * crf`, and every term shows in the logs under its name,
unweighted.
"""

import time

import keras
import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import callbacks, losses, targets, visualization

keras.utils.set_random_seed(0)

"""
## By what you have

| you have | start with | then |
|---|---|---|
| scribbles or clicks | `PartialCrossEntropy() + GatedCRFLoss()`, the default | where classes are learned well, from a pretrained encoder or in a long training: `DenseCRFLoss`, with more weight |
| scribbles, classes of similar area | `+ KernelCutLoss(sigma_xy=…)` | its normalized cut favors classes of equal area; keep its weight low where one class fills the image |
| scribbles or clicks, and proposals of a CRF wanted as targets | `+ ADMLoss(sigma_xy=…)` | |
| tags | `AdaptivePriorLoss() + NeighborhoodLoss()`, or `ReliableRegionMining` | [Image tags](image_tags.md) |
| images of one object, no label | `SingleClassLoss()` | [One class without labels](one_class_without_labels.md) |
| dense labels | `PartialCrossEntropy()` | it is the usual cross entropy then |
| annotated images and many without | any CRF loss, and `unlabeled=` of the data set | [Scribbles and clicks](scribbles_and_clicks.md) |

**Which weight?** By default, the gated CRF has λ = 0.01 and the dense CRF 0.5: small weights,
meant to be no worse than the cross entropy alone on any set. Larger ones do more on sets whose classes
are soon learned, and merge the classes of a net that has not learned them yet. [How they were
chosen](../defaults.md), and [what each loss did](../results/masks.md). One seed proves little: run a
sweep on your own images.

## Gated CRF or dense CRF

The gated CRF compares each pixel with the window around it, by default 11 × 11 cells of a grid at half the
image's size. The dense CRF compares all pairs of pixels. So the gated CRF trims and fills near borders, while the dense CRF
also removes islands far from every stroke, and spreads a mistake as far. Both ask less where the
prediction is already even:
"""

images, labels, class_names = wsseg.data.synthetic_shapes(2, size=64)
y_true = targets.pack(np.full(labels.shape, 255), (images / 255).astype("float32"))
right = 8.0 * keras.ops.one_hot(labels, len(class_names))
noise = np.random.default_rng(0).normal(0, 2, right.shape).astype("float32")
candidates = {
    "gated CRF": losses.GatedCRFLoss(weight=1.0),
    "dense CRF": losses.DenseCRFLoss(weight=1.0, sigma_xy=12),
    "normalized cut": losses.NormalizedCutLoss(weight=1.0, sigma_xy=12),
    "kernel cut": losses.KernelCutLoss(weight=1.0, sigma_xy=12),
}
for name, loss in candidates.items():
    loss(y_true, right)
    start = time.perf_counter()
    good, bad = float(loss(y_true, right)), float(loss(y_true, noise))
    spent = (time.perf_counter() - start) / 2
    print(f"{name:15} true labels {good:.4f}   noise {bad:.4f}   {1000 * spent:.0f} ms")

"""
The values of two losses cannot be compared with each other: each is normalized in its own way (see
[Units of sigma](units_of_sigma.md)).

## What a loss asks for

`visualization.prediction_gradient` gives the gradient of a loss with respect to the probabilities, pixel
by pixel (what a training follows is that with respect to the logits behind them, which vanishes wherever a
prediction is certain). `visualization.loss_gradient` and `gradient_sheet` paint it over the image, and on
the command line `keras-wsseg gradient` does so for a run folder.
"""

probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(noise))
gradient = visualization.prediction_gradient(candidates["dense CRF"], y_true, probabilities)
print(gradient.shape)

"""
## When to start it

A regularizer spreads what a net predicts, right or wrong. `WarmUp` keeps its weight at 0 for `delay_steps`
and raises it over `ramp_steps`; the command line takes a quarter of the training for each.
"""

crf = losses.DenseCRFLoss(weight=2.0, sigma_xy=12)
warm_up = callbacks.WarmUp(crf, delay_steps=100, ramp_steps=100)
print([round(warm_up.weight_at(step), 2) for step in (0, 99, 150, 200)])

"""
## Sums

A sum is a loss too. Factors multiply the weights.
"""

loss = losses.PartialCrossEntropy(class_weights="batch") + 0.5 * losses.GatedCRFLoss() + crf
print([(term.name, term.weight) for term in loss.terms], float(loss(y_true, noise)))

"""
## A loss of your own

Derive from `losses.SegmentationLoss` and write `energy`, the unweighted value of each image; it then adds,
scales, warms up and anneals like the others. `targets.read` gives what it sees of a batch: `labels`, the
`guide` by modality (`guide["rgb"]` is the image in [0, 1]), `tags` where there are any, and
`present(num_classes)`, the classes that occur in each image. This one is the entropy of the prediction on
pixels that nobody has annotated:
"""


class Entropy(losses.SegmentationLoss):
    def __init__(self, weight=1.0, from_logits=True, name="entropy", **kwargs):
        super().__init__(weight=weight, name=name, **kwargs)
        self.from_logits = from_logits

    def energy(self, y_true, y_pred):
        labels = targets.read(y_true).labels
        free = keras.ops.cast(labels == wsseg.annotations.UNLABELED, "float32")
        logits = y_pred if self.from_logits else keras.ops.log(y_pred + 1e-7)
        log_p = keras.ops.log_softmax(logits, axis=-1)
        entropy = -keras.ops.sum(keras.ops.exp(log_p) * log_p, axis=-1)
        inside = keras.ops.maximum(keras.ops.sum(free, axis=(1, 2)), 1.0)
        return keras.ops.sum(free * entropy, axis=(1, 2)) / inside


print(float(Entropy()(y_true, noise)))

"""
How to add a loss to the library, with its oracle and its tests, is in
[Contributing](../contributing.md).
"""
