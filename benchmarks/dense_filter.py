"""Three methods for the fully connected filter: error against the exact sum on photographs, and time.

    python benchmarks/dense_filter.py FOLDER            both tables of docs/results/speed.md
    python benchmarks/dense_filter.py FOLDER --quick    errors on the first image, times at the first size
    python benchmarks/dense_filter.py --blocks          gradients on images that landmarks approximate badly

FOLDER contains photographs; the first four by name are used, resized to 128 x 128, with the published widths,
15 of 255 in color and 100 pixels at 512. The error is the norm of the difference from the exact sums divided
by the norm of these; the bias is that of the total. Times are those of the dense CRF energy with its
gradient, including building landmarks or lattice, on the same photographs resized to each size and 21
classes: the median of graph or XLA, whichever is faster for the method, each method in turn.

The images of `--blocks` are 256 x 256, of 8 x 8 blocks in 1024 random colors with noise of 0.02, sigmas
15 / 255 and 50 px, 512 landmarks; the error is that of the dense CRF's gradient at 500 random pixels.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

CLASSES = 21
WAYS = {
    "Nyström, 256 landmarks": {"filter_method": "nystrom", "landmarks": 256},
    "Nyström, 512 landmarks": {"filter_method": "nystrom", "landmarks": 512},
    "permutohedral": {"filter_method": "permutohedral"},
}
EXACT = {"exact": {"filter_method": "exact"}}
SIZES = (128, 256, 512)
EXACT_LIMIT = 128


def features_of(folder, count, size):
    """Positions and colors over their widths, `(count, size * size, 5)`."""
    suffixes = (".jpg", ".jpeg", ".png")
    paths = [path for path in sorted(pathlib.Path(folder).iterdir()) if path.suffix.lower() in suffixes]
    if len(paths) < count:
        sys.exit(f"FOLDER must hold at least {count} photographs. Received: {len(paths)}")
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    found = []
    for path in paths[:count]:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        found.append(np.concatenate([grid / (100 * size / 512), np.asarray(image) / 15.0], axis=-1))
    return np.stack(found).reshape(count, size * size, 5).astype("float32")


def block_errors():
    """Prints the table of errors on blocks."""
    from keras_wsseg.ops import dense_gaussian_kernel

    size, methods = 256, ("nystrom", "permutohedral", "auto")
    print("| prediction, seed | " + " | ".join(methods) + " |")
    print("|---" * (1 + len(methods)) + "|")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        colors = np.kron(rng.random((32, 32, 3)), np.ones((8, 8, 1)))
        colors = np.clip(colors + 0.02 * rng.normal(size=colors.shape), 0, 1)
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
        features = np.concatenate([grid / 50, colors * 255 / 15], axis=-1).reshape(1, -1, 5)
        features = features.astype("float32")
        kernels = {method: dense_gaussian_kernel(features, method) for method in methods}
        chosen = rng.choice(size * size, 500, replace=False)
        far = features[0].astype("float64")
        squares = sum(np.square(np.subtract.outer(f[chosen], f)) for f in far.T)
        affinity = np.exp(-0.5 * squares)
        noise = rng.random((1, size * size, CLASSES)).astype("float32")
        noise /= noise.sum(axis=-1, keepdims=True)
        for name, y in (("noise", noise), ("smooth", probabilities(1, size))):
            signs = 1 - 2 * y
            want = affinity @ signs[0]
            off = [
                np.linalg.norm(np.array(kernel.apply(signs))[0, chosen] - want) / np.linalg.norm(want)
                for kernel in kernels.values()
            ]
            print(f"| {name}, {seed} | " + " | ".join(f"{one:.1%}" for one in off) + " |", flush=True)


def probabilities(batch, size):
    """Smooth random probabilities, as a net gives them."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(batch, size // 16, size // 16, CLASSES)).astype("float32")
    logits = 3 * np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2)
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).reshape(batch, size * size, CLASSES)


def errors(folder, count):
    """Prints the table of errors."""
    from keras_wsseg.ops import dense_gaussian_filter

    features, values = features_of(folder, count, 128), probabilities(1, 128)
    print("| error on photographs at 128² | " + " | ".join(f"{n + 1}" for n in range(count)) + " | bias |")
    print("|---" * (count + 2) + "|")
    exact = [np.array(dense_gaussian_filter(one[None], values, "exact")) for one in features]
    for name, options in WAYS.items():
        found = [np.array(dense_gaussian_filter(one[None], values, **options)) for one in features]
        pairs = list(zip(found, exact, strict=True))
        cells = [f"{np.linalg.norm(a - b) / np.linalg.norm(b):.1%}" for a, b in pairs]
        bias = [f"{a.sum() / b.sum() - 1:+.1%}" for a, b in pairs]
        print(f"| {name} | {' | '.join(cells)} | {', '.join(bias)} |", flush=True)


def worker(folder, size, options, xla, runs):
    """Seconds of each run of energy and gradient at 2 x size x size x 21."""
    import time

    import tensorflow as tf

    from keras_wsseg.ops import dense_crf_energy

    @tf.function(jit_compile=xla)
    def step(y, features):
        with tf.GradientTape() as tape:
            tape.watch(y)
            energy = tf.reduce_sum(dense_crf_energy(y, features, **options))
        return energy, tape.gradient(energy, y)

    pair = tf.constant(probabilities(2, size)), tf.constant(features_of(folder, 2, size))
    step(*pair)[1].numpy()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        step(*pair)[1].numpy()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(*arguments):
    """The median of `worker` in a process of its own."""
    call = [sys.executable, __file__, "--worker", json.dumps(arguments), arguments[0]]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    out = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    return float(np.median(json.loads(out.stdout.splitlines()[-1])))


def times(folder, sizes):
    """Prints the table of times."""
    print("| energy and gradient, 2×size²×21 | " + " | ".join(f"{size}²" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for name, options in (EXACT | WAYS).items():
        cells = []
        for size in sizes:
            if name in EXACT and size > EXACT_LIMIT:
                cells.append("–")
                continue
            runs = 3 if name in EXACT else 15 if size < 512 else 5
            best = min((measure(folder, size, options, xla, runs), xla) for xla in (False, True))
            how = "XLA" if best[1] else "graph"
            cells.append(
                f"{1e3 * best[0]:.0f} ms ({how}), {1e6 * best[0] / (2 * size * size):.2f} µs a pixel"
            )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    """Prints the tables."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="photographs")
    parser.add_argument("--quick", action="store_true", help="one image, one size")
    parser.add_argument("--blocks", action="store_true", help="errors on blocks in many colors alone")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(*json.loads(arguments.worker))))
        return
    if arguments.blocks:
        block_errors()
        return
    if not arguments.folder:
        parser.error("FOLDER must be given, or --blocks")
    errors(arguments.folder, 1 if arguments.quick else 4)
    print()
    times(arguments.folder, SIZES[:1] if arguments.quick else SIZES)


if __name__ == "__main__":
    main()
