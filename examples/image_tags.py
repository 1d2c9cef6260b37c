"""The published recipe for masks from tags by an adaptive prior, with all its settings (Pandey & Dukkipati
2017, arXiv:1705.01262).

    python examples/image_tags.py VOC --weights imagenet     the paper, needs a GPU and a connection
    python examples/image_tags.py --quick                    two minutes on a CPU

The training target is the network's own prediction, reweighted until each tagged class has its share of the
image, and the neighborhood loss encourages pixels that look alike to agree. The data folder contains images/
and tags.csv, train.txt if only some images are used for training, and, for scores, labels/ and val.txt.
Without a folder, --quick generates small images of a disc, a square, both or none, and trains a small network
from scratch, once without the neighborhood loss and once with it, sharper than published for the reason given
in `NeighborhoodLoss`.
"""

import argparse
import pathlib

import keras
import numpy as np

from keras_wsseg import WeaklySupervisedModel, callbacks, export, losses, metrics, models, optimizers
from keras_wsseg.data import SegmentationArrays, SegmentationFolder, TagFolder, synthetic_tags

FULL = {"size": 224, "batch": 20, "steps": 40_000, "epochs": 40, "warm_up": 0, "ramp": 0, "sharpness": 1.0}
QUICK = {"size": 64, "batch": 8, "steps": 300, "epochs": 6, "warm_up": 100, "ramp": 60, "sharpness": 4.0}


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


def segmenter_and_optimizer(train, arguments):
    """VGG16 with a decoder to a quarter of the resolution; new layers have ten times the learning rate."""
    common = {"channels": train.channels, "value_range": train.value_range}
    if arguments.quick:
        net = models.UNet(train.num_classes, filters=(8, 16, 32), output_stride=2, **common)
        return net, keras.optimizers.Adam(3e-3)
    net = models.VGG16Skip(
        train.num_classes, weights=arguments.weights, output_stride=4, weight_decay=5e-5, **common
    )
    halved = keras.optimizers.schedules.ExponentialDecay(0.01, 4000, 0.5, staircase=True)
    sgd = keras.optimizers.SGD(halved, momentum=0.9)
    return net, optimizers.LearningRateMultipliers(sgd, {"^vgg16_": 0.1})


def fit(train, arguments, setting, weight):
    """A segmenter trained with the neighborhood loss at this weight, or without it if 0."""
    keras.utils.set_random_seed(arguments.seed)
    segmenter, optimizer = segmenter_and_optimizer(train, arguments)
    loss, watched = losses.AdaptivePriorLoss(), []
    if weight:
        neighborhood = losses.NeighborhoodLoss(weight, "exponentiated", setting["sharpness"])
        loss += neighborhood
        watched.append(callbacks.WarmUp(neighborhood, setting["warm_up"], setting["ramp"]))
        shown = [train.load(index)[0] for index in range(min(4, len(train)))]
        sheets, tags, names = f"{arguments.out}.images", train.tags[: len(shown)], train.class_names
        watched.append(callbacks.TagImages(shown, tags, sheets, class_names=names))
        print(f"with the neighborhood loss; estimated labels and predictions go to {sheets}/")
    else:
        print("without the neighborhood loss")
    model = WeaklySupervisedModel(segmenter, value_range=train.value_range)
    model.compile(optimizer, loss=loss, jit_compile="auto")
    model.fit(
        train.train(setting["batch"], setting["size"], flip=True, repeat=True, mode="resize"),
        steps_per_epoch=setting["steps"] // setting["epochs"],
        epochs=setting["epochs"],
        callbacks=watched,
        shuffle=False,
        verbose=2,
    )
    return segmenter


def score(name, segmenter, val):
    """Prints the intersection over union on dense labels."""
    iou = metrics.MeanIoU(val.num_classes)
    for image, labels in val.validation():
        iou.update_state(labels, segmenter(image, training=False))
    classes = zip(val.class_names, iou.per_class(), strict=True)
    listed = ", ".join(f"{label} {value:.3f}" for label, value in classes)
    print(f"{name}: mean_iou {float(iou.result()):.3f} ({listed})")


def main(argv=None):
    """Trains, scores and exports."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", nargs="?", help="data folder")
    parser.add_argument("--tags", default="tags.csv", help="a CSV file, 'folders', or a folder of label maps")
    parser.add_argument("--weights", help="encoder weights: imagenet, or a file; by default random")
    parser.add_argument("--weight", type=float, default=0.3, help="weight of the neighborhood loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps with a small network, on a CPU")
    parser.add_argument("--out", default="image_tags.onnx", help="the exported segmenter")
    arguments = parser.parse_args(argv)
    if not arguments.data and not arguments.quick:
        parser.error("a data folder or --quick is required")
    if arguments.weights and arguments.quick:
        parser.error("--weights cannot be used with the small network of --quick")
    setting = QUICK if arguments.quick else FULL
    train, val = data_sets(arguments.data, arguments.tags)
    print(f"{len(train)} images with tags only")

    if arguments.quick:
        without = fit(train, arguments, setting, weight=0.0)
        segmenter = fit(train, arguments, setting, arguments.weight)
        if val is not None:
            score("without the neighborhood loss", without, val)
    else:
        segmenter = fit(train, arguments, setting, arguments.weight)
    if val is not None:
        score("with the neighborhood loss", segmenter, val)
    segmenter.save(f"{arguments.out}.keras")
    print(export.to_onnx(segmenter, arguments.out, class_names=train.class_names))
    images = val or train
    image, _ = images.load(len(images) - 1)
    deployed = export.OnnxSegmenter(arguments.out)
    probabilities = deployed.probabilities(image)
    logits = keras.ops.image.resize(segmenter(image[None].astype("float32")), image.shape[:2])
    same = np.argmax(probabilities, axis=-1) == np.argmax(logits[0], axis=-1)
    found = ", ".join(train.class_names[number] for number in np.unique(deployed(image)))
    print(f"{arguments.out}: {np.mean(same):.1%} of the last image's pixels as in Keras; predicts {found}")


if __name__ == "__main__":
    main()
