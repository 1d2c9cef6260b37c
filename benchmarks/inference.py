"""Time, memory and agreement of a deployed segmenter: Keras predict against ONNX Runtime, by precision.

python benchmarks/inference.py                           every segmenter of the library
python benchmarks/inference.py --precisions              a U-Net by precision, with and without CRF, by size
python benchmarks/inference.py --precisions --trained FOLDER RUN    a trained one, with its mean IoU

All process the same image in turn, and a row gives the median of each, so that temporary load on the machine
affects all. Keras is `predict_on_batch` of segmenter and softmax, compiled as Keras does by default, and with
XLA; ONNX Runtime runs on the CPU with its default threads and outputs probabilities and classes. Memory is
the peak of a separate process for one image minus that for one of 32 x 32 pixels.
"""

import argparse
import gc
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CLASSES = 11
SIZES = (256, 512)


def segmenters():
    """Every segmenter of the library by name, as a function that makes it."""
    from keras_wsseg import models

    def reliable_regions():
        small = models.feature_extractor(models.UNet(1))
        return models.ReliableRegionMining(CLASSES, backbone=small, dilation=2, crf=None).segmenter

    return {
        "UNet": lambda: models.UNet(CLASSES),
        "DeepLabV3Plus, ResNet-18": lambda: models.DeepLabV3Plus(CLASSES, backbone="resnet18"),
        "DeepLabV3Plus, ResNet-34": lambda: models.DeepLabV3Plus(CLASSES),
        "EncoderUNet, ResNet-18": lambda: models.EncoderUNet(CLASSES, backbone="resnet18"),
        "UMobileNetV2": lambda: models.UMobileNetV2(CLASSES),
        "VGG16Skip": lambda: models.VGG16Skip(CLASSES),
        "ReliableRegionMining, U-Net": reliable_regions,
        "UNet with_input_size 128": lambda: models.with_input_size(models.UNet(CLASSES), 128),
    }


def settle(segmenter):
    """Gives the normalization statistics of images: an untrained one makes logits in the thousands."""
    import keras

    for layer in segmenter._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    segmenter(image_of(96, batch=4), training=True)
    return segmenter


def image_of(size, batch=1, dtype="float32"):
    """A smooth image with edges, `(batch, size, size, 3)`."""
    import numpy as np

    from keras_wsseg.export.random_images import random_image

    return random_image(np.random.default_rng(size), (batch, size, size, 3), (0, 255), dtype)


def medians(functions, rounds):
    """Median milliseconds of each function, run in turns after one run each to warm up."""
    seconds = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * sorted(times)[len(times) // 2] for name, times in seconds.items()}


def keras_runner(segmenter, jit_compile, image):
    """Keras' compiled predict of segmenter and softmax."""
    import keras

    from keras_wsseg.layers import ResizeLike

    logits = segmenter.output
    if segmenter.compute_output_shape((1, 64, 64, 3))[1] != 64:
        logits = ResizeLike()(logits, segmenter.input)
    model = keras.Model(segmenter.input, keras.ops.softmax(logits))
    model.compile(jit_compile=jit_compile)
    return lambda: model.predict_on_batch(image)


def onnx_runner(path, size):
    """ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    dtype = "uint8" if "uint8" in session.get_inputs()[0].type else "float32"
    image = image_of(size, dtype=dtype)
    return lambda: session.run(None, {"image": image})


def every_segmenter(rounds, xla):
    """Prints the first table."""
    from keras_wsseg.export import to_onnx

    columns = "segmenter|size|Keras|XLA|ONNX Runtime|times faster|largest difference|equal classes"
    print("|", columns.replace("|", " | "), "|")
    print("|---" * 8 + "|")
    for name, make in segmenters().items():
        segmenter = settle(make())
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "segmenter.onnx"
            for size in SIZES:
                report = to_onnx(segmenter, path, tolerance=1.0, check_sizes=[(size, size)])
                image = image_of(size)
                functions = {
                    "keras": keras_runner(segmenter, False, image),
                    "onnx": onnx_runner(path, size),
                }
                if xla:
                    functions["xla"] = keras_runner(segmenter, True, image)
                found = medians(functions, rounds)
                fastest = min(value for key, value in found.items() if key != "onnx")
                compiled = f"{found['xla']:.0f} ms" if xla else "–"
                print(
                    f"| {name} | {size}² | {found['keras']:.0f} ms | {compiled} | {found['onnx']:.0f} ms | "
                    f"{fastest / found['onnx']:.2f} | {report.max_difference:.0e} | "
                    f"{report.equal_classes:.2%} |",
                    flush=True,
                )
        del segmenter
        gc.collect()


def every_precision(rounds, folder, run):
    """Prints the second table."""
    from keras_wsseg.export import OnnxSegmenter, to_onnx
    from keras_wsseg.layers import crf_preset

    if run:
        from keras_wsseg.training.run_folder import load_model, segmenter_file

        segmenter = load_model(segmenter_file(run))
        calibration = training_images(folder)
    else:
        segmenter = settle(segmenters()["UNet"]())
        calibration = [image_of(128 + 16 * number)[0] for number in range(8)]
    columns = "inside|CRF|file|256²|512²|memory at 512²|largest difference|mean|classes that change"
    print("|", columns.replace("|", " | "), "| mean IoU |")
    print("|---" * 10 + "|")
    with tempfile.TemporaryDirectory() as place:
        files, reports = {}, {}
        for crf in (None, crf_preset("windowed", (0, 255))):
            for precision in ("float32", "float16", "int8"):
                key = precision, "windowed" if crf else "–"
                files[key] = pathlib.Path(place) / f"{'-'.join(key)}.onnx"
                reports[key] = to_onnx(
                    segmenter,
                    files[key],
                    crf=crf,
                    precision=precision,
                    calibration=calibration if precision == "int8" else None,
                    tolerance=1.0,
                    mean_tolerance=1.0,
                    min_equal_classes=0.0,
                )
        times = {size: {} for size in SIZES}
        for size, found in times.items():
            functions = {key: onnx_runner(path, size) for key, path in files.items()}
            functions["Keras"] = keras_runner(segmenter, False, image_of(size))
            found.update(medians(functions, rounds))
        row = " | ".join(f"{found['Keras']:.0f} ms" for found in times.values())
        print(f"| Keras predict | – | – | {row} | – | – | – | – | – |")
        for key, path in files.items():
            report = reports[key]
            row = " | ".join(f"{found[key]:.0f} ms" for found in times.values())
            score = f"{mean_iou(OnnxSegmenter(path), folder):.2f}" if folder else "–"
            print(
                f"| {' | '.join(key)} | {report.file_size / 1e6:.2f} MB | {row} | "
                f"{memory(path, 512):.0f} MB | {report.max_difference:.0e} | {report.mean_difference:.0e} | "
                f"{1 - report.equal_classes:.2%} | {score} |",
                flush=True,
            )


def training_images(folder):
    """Every seventh image of the training list."""
    folder = pathlib.Path(folder)
    names = (folder / "train.txt").read_text().split()[::7]
    return [next((folder / "images").glob(f"{name}.*")) for name in names]


def mean_iou(segmenter, folder):
    """Mean IoU in points over the validation list of a data folder."""
    import numpy as np

    from keras_wsseg.annotations import read_label_map

    folder, classes = pathlib.Path(folder), len(segmenter.class_names)
    confusion = np.zeros((classes, classes))
    for name in (folder / "val.txt").read_text().split():
        truth = read_label_map(folder / "labels" / f"{name}.png")
        found = segmenter(next((folder / "images").glob(f"{name}.*")))
        known = truth < classes
        pairs = truth[known].astype(int) * classes + found[known]
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits, either = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    return 100 * np.mean(hits[either > 0] / either[either > 0])


def memory(path, size):
    """Peak megabytes that a process needs for an image beyond those for a tiny one."""
    peaks = []
    for side in (32, size):
        command = [sys.executable, __file__, "--peak", str(path), str(side)]
        peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return peaks[1] - peaks[0]


def print_peak(path, size):
    """Runs a file once and prints the peak memory of this process in megabytes."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    session.run(None, {"image": np.zeros((1, int(size), int(size), 3), "float32")})
    # Not `ru_maxrss`, in which a process begins with the peak of the one that started it.
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024)


def main():
    """Prints a table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--precisions", action="store_true", help="the second table")
    parser.add_argument("--trained", nargs=2, metavar=("FOLDER", "RUN"), help="data folder and trained run")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-xla", action="store_true", help="leave XLA out, which takes minutes to compile")
    parser.add_argument("--peak", nargs=2, metavar=("FILE", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
    elif arguments.precisions:
        every_precision(arguments.rounds, *(arguments.trained or (None, None)))
    else:
        every_segmenter(arguments.rounds, not arguments.no_xla)


if __name__ == "__main__":
    main()
