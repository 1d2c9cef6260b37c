"""The published recipe for regularized losses with all its settings (Tang et al. 2018, arXiv:1803.09569).

    python examples/regularized_losses.py VOC --weights resnet34.npz    the paper, needs a GPU
    python examples/regularized_losses.py --quick                       a minute on a CPU

Training has two phases: only cross entropy on the scribbles until convergence, then with the regularizer,
from the weights of the first. Unlike in the paper, the encoder is a ResNet-34, one learning-rate decay spans
both phases, and the published weight is used only for the dense CRF. The data folder contains images/,
scribbles/ and labels/ as PNG files, train.txt, val.txt and classes.txt; an optional unlabeled.txt lists
images without scribbles, which form half of each batch and contribute in the second phase. Without a folder,
--quick generates small synthetic images.
"""

import argparse
import pathlib

import keras
import numpy as np

from keras_wsseg import WeaklySupervisedModel, callbacks, export, losses, metrics, models, targets
from keras_wsseg.annotations import simulate_scribbles
from keras_wsseg.data import SegmentationArrays, SegmentationFolder, synthetic_shapes

LOSSES = {
    "dense-crf": losses.DenseCRFLoss,
    "normalized-cut": losses.NormalizedCutLoss,
    "kernel-cut": losses.KernelCutLoss,
    "adm": losses.ADMLoss,
}
# As in the public code: half the image's grid, 15 of 255 in color, 100 pixels of the full image.
PUBLISHED = {"resolution": 0.5, "sigma_rgb": 15 / 255, "sigma_xy": 100.0, "landmarks": 512}
FULL = {"crop": 513, "batch": 12, "phases": (20_000, 20_000), "epoch_steps": 1000, "rate": 7e-3}
QUICK = {"crop": 64, "batch": 4, "phases": (40, 40), "epoch_steps": 20, "rate": 7e-3}


def published_weight(crf, data):
    """The public code's 2e-9 on the raw energy, converted to a weight here: mean over a sample of images."""
    low, high = data.value_range
    weights = []
    for index in range(0, len(data), max(1, len(data) // 16)):
        image, labels = data.load(index)
        guide = (np.asarray(image, "float32") - low) / (high - low)
        weights.append(crf.published_weight(targets.pack(np.asarray(labels)[None], guide[None])))
    return float(np.mean(weights))


def data_sets(folder):
    """Training images with scribbles and validation images with dense labels."""
    if folder:
        more = "unlabeled" if (pathlib.Path(folder) / "unlabeled.txt").is_file() else None
        train = SegmentationFolder(folder, annotation="scribbles", split="train", unlabeled_split=more)
        names = {"num_classes": train.num_classes, "class_names": train.class_names}
        return train, SegmentationFolder(folder, annotation="labels", split="val", **names)
    images, labels, names = synthetic_shapes(48, size=80)
    weak = [simulate_scribbles(one, seed=index) for index, one in enumerate(labels)]
    train = SegmentationArrays(images[:40], weak[:40], class_names=names)
    return train, SegmentationArrays(images[40:], labels[40:], class_names=names)


def main(argv=None):
    """Trains in two phases, scores and exports."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", nargs="?", help="data folder")
    parser.add_argument("--loss", choices=sorted(LOSSES), default="kernel-cut")
    parser.add_argument("--weights", help="ResNet-34 weights trained on ImageNet, a local .npz file")
    parser.add_argument("--quick", action="store_true", help="a few steps with a small encoder, on a CPU")
    parser.add_argument("--out", default="regularized.onnx", help="the exported segmenter")
    arguments = parser.parse_args(argv)
    if not arguments.data and not arguments.quick:
        parser.error("a data folder or --quick is required")
    setting = QUICK if arguments.quick else FULL
    keras.utils.set_random_seed(0)
    train, val = data_sets(arguments.data)

    segmenter = models.DeepLabV3Plus(
        train.num_classes,
        backbone="resnet18" if arguments.quick else "resnet34",
        weights=arguments.weights,
        channels=train.channels,
        value_range=train.value_range,
        output_stride=4,
        weight_decay=1e-4,
    )
    regularizer = LOSSES[arguments.loss](**PUBLISHED)
    if arguments.loss == "dense-crf":
        regularizer.weight = published_weight(regularizer, train)
    first, second = setting["phases"]
    schedule = keras.optimizers.schedules.PolynomialDecay(setting["rate"], first + second, 0.0, power=0.9)
    model = WeaklySupervisedModel(segmenter, value_range=train.value_range)
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss=losses.PartialCrossEntropy() + regularizer,
        metrics=[metrics.MeanIoU(train.num_classes)],
    )
    model.fit(
        train.train(setting["batch"], setting["crop"], scale=(0.5, 2.0), flip=True, repeat=True),
        validation_data=val.validation(),
        steps_per_epoch=setting["epoch_steps"],
        epochs=(first + second) // setting["epoch_steps"],
        callbacks=[
            callbacks.WarmUp(regularizer, delay_steps=first),
            keras.callbacks.BackupAndRestore(f"{arguments.out}.backup"),
        ],
        shuffle=False,
        verbose=2,
    )
    segmenter.save(f"{arguments.out}.keras")
    print(export.to_onnx(segmenter, arguments.out, class_names=train.class_names))
    image, _ = val.load(0)
    print("classes of the first validation image:", set(export.OnnxSegmenter(arguments.out)(image).flat))


if __name__ == "__main__":
    main()
