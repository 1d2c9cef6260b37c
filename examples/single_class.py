"""The published recipe for one class without pixel labels, with all its settings (Veksler 2020, ECCV).

    python examples/single_class.py PETS --weights imagenet     the paper, needs a GPU and a connection
    python examples/single_class.py --quick                     a minute on a CPU

Annealing for 15 epochs, the normal stage for 50, and if there are images known not to contain the object, 200
more epochs with them; then the normal stage again at twice the resolution, from these weights. The data
folder contains images/, each with the object, and optionally others/ without it; if it also contains labels/,
val.txt and train.txt, the segmenter is scored. Without a folder, --quick generates small synthetic images,
trains a small network from scratch, and reduces the CRF's weight: 100 is meant for pretrained features and
many images.
"""

import argparse
import pathlib

import keras
import numpy as np

from keras_wsseg import WeaklySupervisedModel, callbacks, export, losses, metrics, models
from keras_wsseg.data import SegmentationArrays, SegmentationFolder, SingleClassFolder, synthetic_object

FULL = {"size": 128, "batch": 16, "epochs": (15, 50, 200), "finer": 50, "crf_weight": 100.0, "target": 0.5}
QUICK = {"size": 48, "batch": 8, "epochs": (8, 8, 4), "finer": 2, "crf_weight": 3.0, "target": 0.3}


def data_sets(folder):
    """Unlabeled training images, and validation images with dense labels or None."""
    if not folder:
        images, labels, names = synthetic_object(80)
        others, _, _ = synthetic_object(32, seed=1, present=False)
        unlabeled = np.full_like(labels[:64], 255)
        train = SegmentationArrays(images[:64], unlabeled, class_names=names, negatives=others)
        return train, SegmentationArrays(images[64:], labels[64:], class_names=names)
    folder = pathlib.Path(folder)
    split = "train" if (folder / "train.txt").is_file() else None
    train = SingleClassFolder(folder, negatives="others" if (folder / "others").is_dir() else (), split=split)
    if not (folder / "val.txt").is_file() or not (folder / "labels").is_dir():
        return train, None
    return train, SegmentationFolder(folder, annotation="labels", split="val", num_classes=2)


def main(argv=None):
    """Trains through all stages, continues at twice the resolution, scores and exports."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", nargs="?", help="data folder")
    parser.add_argument("--weights", help="encoder weights: imagenet, or a file; by default random")
    parser.add_argument("--quick", action="store_true", help="a few steps with a small network, on a CPU")
    parser.add_argument("--out", default="single_class.onnx", help="the exported segmenter")
    arguments = parser.parse_args(argv)
    if not arguments.data and not arguments.quick:
        parser.error("a data folder or --quick is required")
    if arguments.weights and arguments.quick:
        parser.error("--weights cannot be used with the small network of --quick")
    setting = QUICK if arguments.quick else FULL
    keras.utils.set_random_seed(0)
    train, val = data_sets(arguments.data)

    def net():
        common = {"channels": train.channels, "value_range": train.value_range}
        if arguments.quick:
            return models.UNet(2, filters=(8, 16, 32, 64), **common)
        return models.UMobileNetV2(2, weights=arguments.weights, **common)

    def fit(segmenter, size, epochs):
        """Trains in stages of the lengths given in `epochs`; 0 skips a stage."""
        annealing, normal, negative = epochs
        loss = losses.SingleClassLoss(crf_weight=setting["crf_weight"], target_fraction=setting["target"])
        stages = callbacks.SingleClassStages(loss, annealing_epochs=annealing, normal_epochs=normal)
        model = WeaklySupervisedModel(segmenter, value_range=train.value_range)
        model.compile(keras.optimizers.Adam(1e-3), loss=loss)
        shown = [train.load(index)[0] for index in range(min(16, len(train)))]
        watched = [stages, callbacks.CollapseWarning(shown, class_names=train.class_names)]
        if annealing:
            film = f"{arguments.out}.images"
            watched.append(callbacks.AnnealingImages(shown, loss.crf, film, epochs=annealing, max_images=2))
        batches = train.train(setting["batch"], size, mode="resize")
        model.fit(batches, epochs=stages.negative_epoch, callbacks=watched, verbose=2)
        if negative and train.negatives is not None:
            more = setting["batch"] // 2
            batches = train.train(setting["batch"] + more, size, mode="resize", negative_batch=more)
            model.fit(
                batches,
                initial_epoch=stages.negative_epoch,
                epochs=stages.negative_epoch + negative,
                callbacks=watched,
                verbose=2,
            )

    coarse = models.with_input_size(net(), setting["size"])
    fit(coarse, setting["size"], setting["epochs"])
    segmenter = models.with_input_size(net(), 2 * setting["size"])
    models.copy_weights(coarse, segmenter)
    fit(segmenter, 2 * setting["size"], (0, setting["finer"], 0))

    if val is not None:
        f_beta, jaccard = metrics.FBeta(), metrics.Jaccard(per_image=True)
        for image, labels in val.validation():
            logits = segmenter(image, training=False)
            f_beta.update_state(labels, logits)
            jaccard.update_state(labels, logits)
        print(f"F {float(f_beta.result()):.3f}, Jaccard {float(jaccard.result()):.3f}")
    segmenter.save(f"{arguments.out}.keras")
    print(export.to_onnx(segmenter, arguments.out, class_names=train.class_names))


if __name__ == "__main__":
    main()
