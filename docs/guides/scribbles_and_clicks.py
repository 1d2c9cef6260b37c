"""
Scribbles and clicks

The most common weak annotation: a few pixels of each object are labeled and all others are not. This guide
makes both kinds from dense labels, to find out what they are worth before anybody draws, and trains on
them with the gated CRF and with the dense CRF loss. It also shows what images without any
annotation add.
"""

import keras
import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import annotations, callbacks, losses, metrics

keras.utils.set_random_seed(0)
images, labels, class_names = wsseg.data.synthetic_shapes(40, size=64)

"""
## What annotators would draw

`simulate_scribbles` draws one stroke inside every connected component of a class, along the longest path
through its inner part. `simulate_clicks` puts one pixel on each 8-connected component, by the published
rule. Where objects of one class touch, give it the numbers of the objects as `instances=`.
"""

scribbles = [annotations.simulate_scribbles(label, seed=index) for index, label in enumerate(labels)]
clicks = [annotations.simulate_clicks(label) for label in labels]
for name, weak in (("scribbles", scribbles), ("clicks", clicks)):
    print(f"{name}: {np.mean(np.stack(weak) < 254):.2%} of the pixels are annotated")

"""
One pixel is not much. `enlarge_clicks` grows each click into a square, which is right as long as the square
stays inside the object, and `shorten_scribbles` cuts drawn scribbles down to see how many of their pixels
are needed.
"""

squares = [annotations.enlarge_clicks(click, size=3) for click in clicks]
short = [annotations.shorten_scribbles(scribble, 0.5, seed=0) for scribble in scribbles]

"""
For a folder, arguments do the same: `SegmentationFolder(root, annotation="simulated_clicks",
click_size=3)`, `annotation="simulated_scribbles"`, `scribble_length=0.5`.

## Training

One function for all that follows. `class_weights="batch"` weighs each class by how rare it is among the
annotated pixels of the batch, the published setting for clicks.
"""


def train(weak, regularizer=None, class_weights=None, unlabeled=None):
    data = wsseg.data.SegmentationArrays(images[:32], weak[:32], class_names=class_names, unlabeled=unlabeled)
    validation = wsseg.data.SegmentationArrays(images[32:], labels[32:], class_names=class_names)
    loss = losses.PartialCrossEntropy(class_weights=class_weights)
    watched = []
    if regularizer is not None:
        loss = loss + regularizer
        watched.append(callbacks.WarmUp(regularizer, delay_steps=STEPS // 4, ramp_steps=STEPS // 4))
    segmenter = wsseg.models.UNet(len(class_names), filters=(8, 16))
    model = wsseg.WeaklySupervisedModel(segmenter)
    iou = metrics.MeanIoU(len(class_names))
    model.compile(keras.optimizers.Adam(3e-3), loss=loss, metrics=[iou])
    batches = data.train(batch_size=4, image_size=64, repeat=True)
    model.fit(batches, steps_per_epoch=STEPS, callbacks=watched, verbose=0)
    score = model.evaluate(validation.validation(batch_size=8), return_dict=True, verbose=0)
    return segmenter, score["mean_iou"]


"""
Few steps, so that this page runs in seconds; set `STEPS = 800` to see differences.
"""

STEPS = 4
_, score = train(scribbles, losses.GatedCRFLoss())
print(f"scribbles, gated CRF: mean IoU {score:.3f}")

"""
The gated CRF looks at the 11 × 11 cells around each cell of its grid, which has half the image's size. The dense CRF
compares *all* pairs of pixels, so that a stroke on one end of an object reaches the other. Its `sigma_xy` is
published for images of 513 pixels; scale it with yours: see [Units of sigma](units_of_sigma.md).
"""

_, score = train(squares, losses.DenseCRFLoss(sigma_xy=12), class_weights="batch")
print(f"clicks of 3 × 3 pixels, dense CRF: mean IoU {score:.3f}")

"""
## Images without any annotation

A CRF loss needs no label, so images that nobody has annotated help too.
`SegmentationArrays(unlabeled=...)` mixes them into every batch; from a folder, `labeled_fraction=0.1` drops
the annotation of the others and `unlabeled_split="more"` takes the images listed in `more.txt`.
"""

more, _, _ = wsseg.data.synthetic_shapes(16, size=64, seed=1)
_, score = train(scribbles, losses.GatedCRFLoss(), unlabeled=more)
print(f"with unlabeled images: mean IoU {score:.3f}")

"""
## Watching it

`callbacks.PredictionImages` paints image, weak label, prediction and uncertainty after each epoch. To
see what a loss asks of every pixel at one moment, `visualization.prediction_gradient` gives the gradient
with respect to the logits, and `visualization.gradient_sheet` paints it.

## Grown proposals, the baseline

Before such losses, one grew the annotation once, by GrabCut, and trained on the result as if it were the
truth: `annotations.grabcut_proposals` (extra `grabcut`), or `keras-wsseg propose` and then training with
the cross entropy alone. [What each of these did on real scribbles and clicks](../results/masks.md) is in
the results.
"""
