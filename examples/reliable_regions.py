"""The published recipe for masks from tags by mined labels, with all its settings (Zhang et al. 2020,
arXiv:1911.08039).

    python examples/reliable_regions.py VOC --weights resnet38.weights.h5    the paper, needs a GPU
    python examples/reliable_regions.py --quick                              one to two minutes on a CPU

In the same step, one network classifies the tags, labels the pixels on which it is confident and agrees with
a CRF, and learns masks from these labels. The data folder contains images/ and tags.csv, train.txt if only
some images are used for training, and, for scores, labels/ and val.txt. Without a folder, --quick generates
small images of a disc, a square, both or none, and trains a small network from scratch, first on the tags
only, with a windowed CRF instead of the dense one.
"""

import argparse
import pathlib

import keras
import numpy as np

from keras_wsseg import callbacks, export, layers, losses, metrics, models, optimizers
from keras_wsseg.data import SegmentationArrays, SegmentationFolder, TagFolder, synthetic_tags

# All settings are from the paper except batch and steps.
FULL = {"crop": 321, "batch": 8, "steps": 20_000, "epochs": 20, "warm_up": 0, "ramp": 0}
QUICK = {"crop": 64, "batch": 8, "steps": 300, "epochs": 6, "warm_up": 100, "ramp": 60}


def data_sets(folder, tags):
    """Training images with tags, and validation images with dense labels or None."""
    if not folder:
        images, labels, tags, names = synthetic_tags(152)
        train = SegmentationArrays(images[:128], tags=tags[:128], class_names=names)
        return train, SegmentationArrays(images[128:], labels[128:], class_names=names)
    folder = pathlib.Path(folder)
    train = TagFolder(folder, tags, split="train" if (folder / "train.txt").is_file() else None)
    if not (folder / "val.txt").is_file() or not (folder / "labels").is_dir():
        return train, None
    names = {"num_classes": train.num_classes, "class_names": train.class_names}
    return train, SegmentationFolder(folder, annotation="labels", split="val", **names)


def published(train, setting, weights):
    """The model and its optimizer; layers that are not pretrained have ten times the learning rate."""
    model = models.ReliableRegionMining(
        train.num_classes,
        backbone="resnet38",
        weights=weights,
        channels=train.channels,
        value_range=train.value_range,
        weight_decay=5e-4,
    )
    schedule = keras.optimizers.schedules.PolynomialDecay(1e-3, setting["steps"], 0.0, power=0.9)
    sgd = keras.optimizers.SGD(schedule, momentum=0.9)
    return model, optimizers.LearningRateMultipliers(sgd, {"^(branch|logits|scores)/": 10.0})


def small(train):
    """The same for a CPU: maps of one scale, at half resolution, and a CRF in windows of 11 x 11 pixels."""
    common = {"channels": train.channels, "value_range": train.value_range}
    model = models.ReliableRegionMining(
        train.num_classes,
        backbone=models.feature_extractor(models.UNet(1, filters=(8, 16, 32), output_stride=2, **common)),
        dilation=2,
        scales=(1.0,),
        keep_fraction=0.6,
        crf=layers.MeanFieldCRF(radius=5, value_range=train.value_range),
        **common,
    )
    return model, keras.optimizers.Adam(3e-3)


def score(name, segmenter, val):
    """Prints the intersection over union on dense labels."""
    iou = metrics.MeanIoU(val.num_classes)
    for image, labels in val.validation():
        iou.update_state(labels, segmenter(image, training=False))
    classes = zip(val.class_names, iou.per_class(), strict=True)
    listed = ", ".join(f"{label} {value:.3f}" for label, value in classes)
    print(f"{name}: mean_iou {float(iou.result()):.3f} ({listed})")


def main(argv=None):
    """Trains, scores and exports, with and without a CRF after the segmenter."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", nargs="?", help="data folder")
    parser.add_argument("--tags", default="tags.csv", help="a CSV file, 'folders', or a folder of label maps")
    parser.add_argument("--weights", help="ResNet-38 weights trained on ImageNet, a local Keras file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps with a small network, on a CPU")
    parser.add_argument("--out", default="reliable_regions.onnx", help="the exported segmenter")
    arguments = parser.parse_args(argv)
    if not arguments.data and not arguments.quick:
        parser.error("a data folder or --quick is required")
    if arguments.weights and arguments.quick:
        parser.error("--weights cannot be used with the small network of --quick")
    setting = QUICK if arguments.quick else FULL
    keras.utils.set_random_seed(arguments.seed)
    train, val = data_sets(arguments.data, arguments.tags)

    model, optimizer = small(train) if arguments.quick else published(train, setting, arguments.weights)
    cross_entropy, energy = losses.BalancedCrossEntropy(), losses.DenseEnergyLoss()
    model.compile(optimizer, loss=cross_entropy + energy, jit_compile=arguments.quick or "auto")
    shown = [train.load(index)[0] for index in range(min(4, len(train)))]
    sheets = f"{arguments.out}.images"
    watched = [callbacks.TagImages(shown, train.tags[: len(shown)], sheets, class_names=train.class_names)]
    watched += [
        callbacks.WarmUp(loss, setting["warm_up"], setting["ramp"]) for loss in (cross_entropy, energy)
    ]
    batches = {"mode": "resize"} if arguments.quick else {"scale": (0.7, 1.3)}
    print(f"{len(train)} images with tags only; maps, mined labels and predictions are written to {sheets}/")
    model.fit(
        train.train(setting["batch"], setting["crop"], flip=True, repeat=True, **batches),
        steps_per_epoch=setting["steps"] // setting["epochs"],
        epochs=setting["epochs"],
        callbacks=watched,
        shuffle=False,
        verbose=2,
    )

    # Only this branch is deployed: alone, and with a CRF after it in the same file.
    segmenter = model.segmenter
    crf = layers.MeanFieldCRF(radius=5, value_range=train.value_range)
    refined = keras.Model(segmenter.input, crf([segmenter.output, segmenter.input]))
    if val is not None:
        score("segmenter", segmenter, val)
        score("with a windowed CRF", refined, val)
    segmenter.save(f"{arguments.out}.keras")
    with_crf = str(pathlib.Path(arguments.out).with_suffix(".crf.onnx"))
    images = val or train
    image, _ = images.load(len(images) - 1)
    # On the random images used for comparison, rounding may flip the label of a few pixels in a CRF.
    for net, path, tolerance in ((segmenter, arguments.out, 1e-4), (refined, with_crf, 1e-2)):
        print(export.to_onnx(net, path, class_names=train.class_names, tolerance=tolerance))
        mask = export.OnnxSegmenter(path)(image)
        same = mask == np.argmax(net(image[None].astype("float32"), training=False)[0], axis=-1)
        found = ", ".join(train.class_names[number] for number in np.unique(mask))
        print(f"{path}: {np.mean(same):.1%} of the last image's pixels as in Keras; predicts {found}")


if __name__ == "__main__":
    main()
