"""
Labels 255 and 254

Two values of a label map are no classes. **255 is unlabeled**: a pixel of the image that nobody has
annotated. **254 is outside the image**: crop padding, the corners of a rotated scan, a hole of the sensor.
The difference matters to every loss that looks at the image, and this guide shows where.
"""

import keras
import numpy as np

from keras_wsseg import annotations, losses, metrics, targets

"""
They have names: `annotations.UNLABELED` and `annotations.PADDING`. So at most 254 classes fit, 0 to 253.
"""

UNLABELED, PADDING = annotations.UNLABELED, annotations.PADDING
print(UNLABELED, PADDING)

"""
## Where 255 is handled

- `losses.PartialCrossEntropy` leaves out every label that is no class: 255, 254, and nothing else, since any other
  value is an error of `WeaklySupervisedModel`.
- All metrics ignore both.
- CRF losses look at 255 as at any other pixel of the image; with `GatedCRFLoss(gate_destination=True)` *only*
  unlabeled pixels receive energy.

Four classes and no opinion: the cross entropy is log 4, whatever lies at 255 and 254.
"""

labels = np.array([[[0, 255], [255, 254]]], "uint8")
undecided = np.zeros((1, 2, 2, 4), "float32")
print(float(losses.PartialCrossEntropy()(labels, undecided)), np.log(4))

"""
## What 254 is for

A pixel outside the image has no color, only what somebody filled it with. A CRF that compared colors there
would tie a black border to black objects. So pixels of 254

- send no energy in the gated CRF (`gate_source=True`) and receive none (`gate_padding=True`),
- take no part in the dense losses, the neighborhood loss, the shares of the adaptive prior, or the priors of
  `SingleClassLoss`,
- are allowed to hold NaN in the image,
- count in no metric.

The same image with a padded half: the loss of the padding is not there.
"""

random = np.random.default_rng(0)
image = random.uniform(0, 1, (1, 8, 8, 3)).astype("float32")
logits = random.normal(0, 1, (1, 8, 8, 2)).astype("float32")
inside = np.full((1, 8, 8), UNLABELED, "uint8")
padded = inside.copy()
padded[:, :, 4:] = PADDING
crf = losses.GatedCRFLoss(weight=1.0)
whole = float(crf(targets.pack(inside[:, :, :4], image[:, :, :4]), logits[:, :, :4]))
half = float(crf(targets.pack(padded, image), logits))
print(f"the left half alone {whole:.6f}, the left half beside padding {half:.6f}")
assert abs(whole - half) < 1e-5

"""
`GatedCRFLoss.published()` lets padding receive energy, as the paper does (`gate_padding=False`).

A loss that is computed on a coarser grid counts a cell only when all of its pixels are inside.

## Where 254 comes from

You rarely write it. `train(...)` marks what a crop leaves of the image, `validation(...)` what it pads to
make a batch, and simulated annotations keep the 254 of the dense labels. Write it yourself for fields of
view, rotated corners and missing scan lines:
"""

scan = np.full((48, 64), UNLABELED, "uint8")
rows, columns = np.mgrid[:48, :64]
scan[(rows - 24) ** 2 + (columns - 32) ** 2 > 30**2] = PADDING
scan[20:24, 20:24] = 1
annotations.write_label_map("scan.png", scan)
print(np.unique(annotations.read_label_map("scan.png")))

"""
## Other numbers in your files

Masks of black and white, or sets in which 0 means "unknown", say what their values mean: `values=` takes
the name or number of a class, `"unlabeled"` or `"padding"`.
"""

mapped = annotations.read_label_map("scan.png", values={255: 255, 254: 254, 1: 0})
print(np.unique(mapped))

"""
For a folder: `SegmentationFolder(root, values={0: "background", 255: "cell"})`. `ignore_values=(7,)` takes
further values as unlabeled, such as the void class of street scenes.

## Metrics

Metrics leave out both, so a padded batch scores like its images one by one. `ignore_class=` leaves out a
class as well: `metrics.MeanIoU(num_classes, ignore_class=0)` scores all but the background.
"""

iou = metrics.MeanIoU(2)
iou.update_state(np.array([[[0, 1, 255, 254]]]), keras.ops.one_hot(np.array([[[0, 1, 0, 1]]]), 2))
print(float(iou.result()))

"""
A plain `keras.Model` may use all of this too, when its pipeline calls `targets.pack(labels, guide)`: see
[Your own model and pipeline](your_own_model.md).
"""
