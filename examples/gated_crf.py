"""The published gated CRF recipe with all its settings (Obukhov et al. 2019, arXiv:1906.04651).

    python examples/gated_crf.py VOC --weights resnet34.npz --out segmenter.onnx     the paper, needs a GPU
    python examples/gated_crf.py CITY --setting cityscapes --weights resnet34.npz    clicks on street scenes
    python examples/gated_crf.py --quick                                             a minute on a CPU

The data folder contains images/, scribbles/ (or clicks/) and labels/ as PNG files, train.txt, val.txt and
classes.txt. Without a folder, --quick generates small synthetic images.
"""

import argparse

import keras

from keras_wsseg import WeaklySupervisedModel, callbacks, export, losses, metrics, models
from keras_wsseg.annotations import simulate_scribbles
from keras_wsseg.data import SegmentationArrays, SegmentationFolder, synthetic_shapes

# From section 4 of the paper; class weights and warm-up are only for clicks on street scenes.
SETTINGS = {
    "voc": {"crop": 256, "batch": 48, "steps": 90_000, "class_weights": None, "warm_up": 0},
    "cityscapes": {"crop": 768, "batch": 8, "steps": 90_000, "class_weights": "batch", "warm_up": 100},
}
QUICK = {"crop": 64, "batch": 4, "steps": 60, "class_weights": None, "warm_up": 20}


def data_sets(folder, annotation):
    """Training images with weak labels and validation images with dense ones."""
    if folder:
        train = SegmentationFolder(folder, annotation=annotation, split="train")
        names = {"num_classes": train.num_classes, "class_names": train.class_names}
        return train, SegmentationFolder(folder, annotation="labels", split="val", **names)
    images, labels, names = synthetic_shapes(48, size=80)
    weak = [simulate_scribbles(one, seed=index) for index, one in enumerate(labels)]
    train = SegmentationArrays(images[:40], weak[:40], class_names=names)
    return train, SegmentationArrays(images[40:], labels[40:], class_names=names)


def main(argv=None):
    """Trains, scores and exports."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", nargs="?", help="data folder")
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="voc")
    parser.add_argument("--annotation", help="scribbles (voc), clicks (cityscapes), simulated_clicks, ...")
    parser.add_argument("--weights", help="ResNet-34 weights trained on ImageNet, a local .npz file")
    parser.add_argument("--gate-destination", action="store_true", help="annotated pixels receive no energy")
    parser.add_argument("--quick", action="store_true", help="a few steps with a small encoder, on a CPU")
    parser.add_argument("--out", default="gated_crf.onnx", help="the exported segmenter")
    arguments = parser.parse_args(argv)
    if not arguments.data and not arguments.quick:
        parser.error("a data folder or --quick is required")
    setting = QUICK if arguments.quick else SETTINGS[arguments.setting]
    keras.utils.set_random_seed(0)
    annotation = arguments.annotation or {"voc": "scribbles", "cityscapes": "clicks"}[arguments.setting]
    train, val = data_sets(arguments.data, annotation)

    # DeepLabV3+ at output stride 16, rates 6, 12 and 18. The L2 of 1e-4 is coupled: part of the gradient.
    segmenter = models.DeepLabV3Plus(
        train.num_classes,
        backbone="resnet18" if arguments.quick else "resnet34",
        weights=arguments.weights,
        channels=train.channels,
        value_range=train.value_range,
        output_stride=4,
        encoder_stride=16,
        atrous_rates=(6, 12, 18),
        weight_decay=1e-4,
    )
    # On softmax probabilities at a quarter of the resolution: radius 5 and sigma_xy 6 in its cells, lambda
    # 0.1, and sigma_rgb 0.1 of a standardized image, converted to units of an image in [0, 1].
    crf = losses.GatedCRFLoss.published(gate_destination=arguments.gate_destination)
    schedule = keras.optimizers.schedules.PolynomialDecay(7e-3, setting["steps"], 0.0, power=0.9)

    model = WeaklySupervisedModel(segmenter, value_range=train.value_range)
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss=losses.PartialCrossEntropy(class_weights=setting["class_weights"]) + crf,
        metrics=[metrics.MeanIoU(train.num_classes)],
    )
    epochs = 3 if arguments.quick else 90
    model.fit(
        train.train(setting["batch"], setting["crop"], scale=(0.5, 2.0), flip=True, repeat=True),
        validation_data=val.validation(),
        steps_per_epoch=setting["steps"] // epochs,
        epochs=epochs,
        callbacks=[
            callbacks.WarmUp(crf, delay_steps=setting["warm_up"]),
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
