"""
Image tags

"There is a dog and a person in this image" takes seconds to say, and many collections have such tags
already. This guide reads tags, and trains on them with the two methods that the library has: auxiliary labels from an
adaptive prior with a neighborhood loss, and reliable region mining.
"""

import pathlib

import keras
import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import annotations, callbacks, losses, metrics, models, optimizers

keras.utils.set_random_seed(0)

"""
## Reading tags

Tags come from a CSV, from a folder of images for each class, or, to try what they are worth, from label
maps: `TagFolder(root)`, `TagFolder(root, tags="folders")`, `TagFolder(root, tags="labels")`. The CSV has
one line an image, or a column of 0 and 1 for each class. An image without a tag holds background alone.
"""

images, labels, tags, class_names = wsseg.data.synthetic_tags(16, size=64)
root = pathlib.Path("tagged")
(root / "images").mkdir(parents=True, exist_ok=True)
for index, image in enumerate(images):
    wsseg.visualization.write_png(root / "images" / f"{index:02}.png", image)
held = {
    f"{index:02}": [class_names[number] for number in (1, 2) if tags[index, number]]
    for index in range(len(tags))
}
annotations.write_tags(root / "tags.csv", held)
print((root / "tags.csv").read_text().splitlines()[:5])

data = wsseg.data.TagFolder(root)
batches = data.train(batch_size=4, image_size=64, mode="resize")

"""
Tags describe whole images, and a crop may miss the tagged object. So train on whole images, resized, or on
crops nearly as large as the scaled images. A batch is `(image, {"tags": multi-hot, "labels": 255 and
254})`. Anything that yields `(image, tags)` with a first column of ones, the background, trains as well.

## Auxiliary labels with an adaptive prior, and a neighborhood loss

`AdaptivePriorLoss` trains the net towards its own prediction, corrected until every tagged class has its
share of the image and no other class has any. `NeighborhoodLoss` encourages pixels that look alike to share
a label. The published net is `models.VGG16Skip` with weights from ImageNet, whose new layers
learn ten times as fast:

`optimizers.LearningRateMultipliers(keras.optimizers.SGD(0.01, momentum=0.9), {"vgg16": 0.1})`

Here a small U-Net stands in for it. With `sharpness=1`, as printed in the paper, the loss pulls
confident pixels back towards uncertainty; a net from scratch does better with 4.
"""

segmenter = models.UNet(data.num_classes, filters=(8, 16), output_stride=2)
model = wsseg.WeaklySupervisedModel(segmenter, value_range=data.value_range)
neighborhood = losses.NeighborhoodLoss(weight=0.3, sharpness=4)
slower = optimizers.LearningRateMultipliers(keras.optimizers.Adam(3e-3), {"logits": 1.0})
model.compile(slower, loss=losses.AdaptivePriorLoss() + neighborhood)
model.fit(
    batches, epochs=2, callbacks=[callbacks.WarmUp(neighborhood, delay_steps=4, ramp_steps=4)], verbose=2
)

"""
Image by image, the labels that it trains towards are those of `layers.PixelLabelEstimator`, from logits
and tags.

## Reliable region mining

One net with two branches. The first learns the tags and gives class activation maps; the most confident
part of each map, where a CRF agrees, becomes labels for the second branch, in the same step. The published
backbone is `"resnet38"`; any model from images to features will do, such as the `feature_extractor` of a
segmenter. The CRF is given by its name: `"dense"`, the published one and the default, or `"windowed"`, which
takes a fraction of its time; None does without.
"""

backbone = models.feature_extractor(models.UNet(1, filters=(8, 16), output_stride=2))
mining = models.ReliableRegionMining(
    data.num_classes, backbone=backbone, dilation=2, scales=(1.0,), crf="windowed"
)
cross_entropy, energy = losses.BalancedCrossEntropy(), losses.DenseEnergyLoss()
mining.compile(keras.optimizers.Adam(3e-3), loss=cross_entropy + energy)
shown = [data.load(index)[0] for index in range(4)]
watched = [callbacks.TagImages(shown, data.tags[:4], "images", class_names=data.class_names)]
watched += [callbacks.WarmUp(loss, delay_steps=3, ramp_steps=3) for loss in (cross_entropy, energy)]
mining.fit(batches, epochs=1, callbacks=watched, verbose=2)

"""
`images/` shows after each epoch what the training sees: maps, mined labels, prediction. `mine`
gives the same as arrays. Only the second branch is deployed: `wsseg.export.to_onnx(mining.segmenter,
"tagged.onnx")`.
"""

iou = metrics.MeanIoU(data.num_classes)
for image, label in zip(images, labels, strict=True):
    prediction = mining.segmenter(image[None].astype("float32"), training=False)
    iou.update_state(label[None], prediction)
print(f"mean IoU after {len(data) // 4} steps: {float(iou.result()):.3f}")

"""
## The second step

Both papers train a second segmenter on what the first one found. No pixel gets a class that its image is
not tagged with. `keras-wsseg pseudo-label` writes these label maps, with a CRF where asked for, and
training reads them like drawn ones.
"""

allowed = data.tags[0].astype(bool)
probabilities = keras.ops.convert_to_numpy(
    keras.ops.softmax(mining.segmenter(shown[0][None].astype("float32")))
)
pseudo = np.where(allowed, probabilities[0], 0).argmax(-1).astype("uint8")
(root / "pseudo").mkdir(exist_ok=True)
annotations.write_label_map(root / "pseudo" / "00.png", pseudo)

"""
[What tags gave on street scenes](../results/tags.md), and the equations of [the adaptive
prior](../method/image-tags.md) and of [the mining](../method/reliable-regions.md).
"""
