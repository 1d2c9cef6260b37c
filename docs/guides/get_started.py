"""
From scribbles to ONNX in five minutes

You have images and, on each, a few pen strokes that say "this is background, this is an ellipse". You want a
segmenter in one file that runs without Keras. This page goes through all the steps once, on images that it
draws itself, so that you can run it before you have data. Each step links to the guide that says more.

You need Python 3.11, 3.12 or 3.13 and the library with its extra `export`: see [Install](../install.md).
"""

import pathlib

import keras
import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import callbacks, losses, metrics

keras.utils.set_random_seed(0)

"""
## The data

A data set is a folder. `images/` holds the images, `scribbles/` a label map of the same name for each of
them. In a label map a pixel is the number of a class, and **255 where nobody has drawn**. Here the
scribbles are made from dense labels by `simulate_scribbles`; yours come from a paint program or an
annotation tool: see [From your annotation tool](annotation_tools.md).
"""

COUNT = 24
images, labels, class_names = wsseg.data.synthetic_shapes(COUNT, size=64)
root = pathlib.Path("shapes")
for folder in ("images", "scribbles", "labels"):
    (root / folder).mkdir(parents=True, exist_ok=True)
for index, (image, label) in enumerate(zip(images, labels, strict=True)):
    scribbles = wsseg.annotations.simulate_scribbles(label, seed=index)
    wsseg.visualization.write_png(root / "images" / f"{index:02}.png", image)
    wsseg.annotations.write_label_map(root / "scribbles" / f"{index:02}.png", scribbles)
    wsseg.annotations.write_label_map(root / "labels" / f"{index:02}.png", label)
(root / "classes.txt").write_text("\n".join(class_names))
(root / "train.txt").write_text("\n".join(f"{index:02}" for index in range(COUNT - 8)))
(root / "val.txt").write_text("\n".join(f"{index:02}" for index in range(COUNT - 8, COUNT)))

"""
Every file is read and validated when the folder is opened. An error names the file in one line, before any
training.
"""

train = wsseg.data.SegmentationFolder(root, annotation="scribbles", split="train")
validation = wsseg.data.SegmentationFolder(root, annotation="labels", split="val")
print(len(train), "images to train on, classes:", train.class_names)

"""
## The model and the loss

Any `keras.Model` from image to logits or probabilities will do; `models.UNet` is small enough for a CPU.
The loss has two terms. `PartialCrossEntropy` learns the classes from the pixels that are annotated.
`GatedCRFLoss` looks at all pixels and encourages neighboring pixels that look alike to share a label, so
that shapes fill up to their borders.

`WarmUp` leaves the second term out for the first steps. A net that knows no class yet would otherwise
collapse to one class everywhere.
"""

segmenter = wsseg.models.UNet(train.num_classes, channels=train.channels, filters=(8, 16, 32))
model = wsseg.WeaklySupervisedModel(segmenter, value_range=train.value_range)
crf = losses.GatedCRFLoss()
model.compile(
    keras.optimizers.Adam(3e-3),
    loss=losses.PartialCrossEntropy() + crf,
    metrics=[metrics.MeanIoU(train.num_classes)],
)

"""
## Training

Two epochs show that everything works together. For masks worth looking at, set `COUNT = 200` above and
`EPOCHS = 40`: three minutes on two cores, and a mean IoU of about 0.7 on images it did not train on.
"""

EPOCHS = 2
steps = EPOCHS * train.steps_per_epoch(batch_size=8)
model.fit(
    train.train(batch_size=8, image_size=64),
    validation_data=validation.validation(),
    epochs=EPOCHS,
    callbacks=[callbacks.WarmUp(crf, delay_steps=steps // 4, ramp_steps=steps // 4)],
    verbose=2,
)

"""
The log shows both terms, unweighted, under their names. `val_mean_iou` is scored on the dense labels of
images that were not trained on.

## One file

`to_onnx` writes the normalization, the network, the resizing, softmax and argmax as one graph, with the
names and colors of the classes in its metadata, and compares the file with Keras. A file that differs is an
error and is deleted.
"""

report = wsseg.export.to_onnx(segmenter, "shapes.onnx", class_names=train.class_names)
print(report)

"""
## Masks, without Keras

`OnnxSegmenter` needs `numpy` and `onnxruntime` alone, and Pillow where paths come in or go out.
"""

deployed = wsseg.export.OnnxSegmenter("shapes.onnx")
mask = deployed(root / "images" / "20.png")
deployed.save_mask("mask.png", mask)
deployed.save_overlay("overlay.png", mask, alpha=0.5)
print(mask.shape, "classes:", [deployed.class_names[number] for number in np.unique(mask)])

"""
## Where to go from here

- The same on the [command line](../command-line.md) is `keras-wsseg train`, `export` and `predict`; `keras-wsseg
  demo` trains with and without the gated CRF and shows both side by side.
- [Scribbles and clicks](scribbles_and_clicks.md): more from the same strokes, and from images without any.
- [Choosing a loss](choosing_a_loss.md) and [which sigma to start with](units_of_sigma.md).
- [Deploying](deploying.md): quantization, the HTTP service, the page for browsers, phones.
"""
