"""Time of the windowed MeanFieldCRF (radius 5, 21 classes): TensorFlow graph, XLA and ONNX Runtime.

python benchmarks/mean_field.py            the table of docs/results/speed.md
python benchmarks/mean_field.py --quick    only the first row

Forward pass, and forward and backward pass; median of several runs. ONNX Runtime runs the exported file of a
segmenter with one 1 x 1 convolution before the layer.
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime
import tensorflow as tf

from keras_wsseg.export import to_onnx
from keras_wsseg.layers import MeanFieldCRF

CASES = [(128, 5), (256, 5), (256, 10)]
CLASSES, RADIUS = 21, 5


def median_ms(function, runs):
    """Median milliseconds of a function that returns when its result is there."""
    function()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return 1e3 * sorted(seconds)[runs // 2]


def tensorflow_ms(layer, size, xla, runs):
    """Forward, and forward and backward."""
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(1, size, size, CLASSES)), tf.float32)
    image = tf.constant(rng.uniform(0, 255, (1, size, size, 3)), tf.float32)

    @tf.function(jit_compile=xla)
    def forward(logits):
        return layer([logits, image])

    @tf.function(jit_compile=xla)
    def both(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = tf.reduce_sum(tf.square(layer([logits, image])))
        return tape.gradient(total, logits)

    return tuple(median_ms(lambda step=step: step(logits).numpy(), runs) for step in (forward, both))


def onnx_ms(iterations, size, runs):
    """Forward pass of an exported segmenter at a size that the export did not see."""
    image = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(CLASSES, 1)(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, MeanFieldCRF(RADIUS, iterations=iterations)([logits, image]))
    array = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "crf.onnx"
        to_onnx(model, path, tolerance=1.0, check_sizes=[(24, 16)])
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return median_ms(lambda: session.run(None, {"image": array}), runs)


def main():
    """Prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="the first case alone")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    columns = "logits|steps|graph|with gradient|XLA|with gradient|ONNX Runtime"
    print("|", columns.replace("|", " | "), "|")
    print("|---" * 7 + "|")
    for size, iterations in CASES[:1] if arguments.quick else CASES:
        layer = MeanFieldCRF(RADIUS, iterations=iterations)
        times = [t for xla in (False, True) for t in tensorflow_ms(layer, size, xla, arguments.runs)]
        times.append(onnx_ms(iterations, size, arguments.runs))
        cells = " | ".join(f"{t:.0f} ms" for t in times)
        print(f"| 1×{size}×{size}×{CLASSES} | {iterations} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
