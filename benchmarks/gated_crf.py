"""Time and memory of the gated CRF energy with its gradient: tiles against all offsets unfolded.

python benchmarks/gated_crf.py            the table of docs/results/speed.md
python benchmarks/gated_crf.py --quick    only the first row

Each row runs in a separate process. Time is the median of forward and backward pass of a compiled step (XLA
or a plain graph, whichever is faster for that method; both methods in turn, so that a machine that slows down
slows both). Memory is the increase of the process's peak over the same process after creating the inputs and
one small step, as a plain graph for both methods, since XLA's compilation would be included otherwise.
"""

import argparse
import json
import os
import subprocess
import sys

CASES = [
    {"batch": 4, "size": 64, "classes": 21, "radius": 5},
    {"batch": 4, "size": 64, "classes": 21, "radius": 3},
    {"batch": 4, "size": 64, "classes": 21, "radius": 10},
    {"batch": 4, "size": 64, "classes": 4, "radius": 5},
    {"batch": 1, "size": 128, "classes": 21, "radius": 5},
    {"batch": 1, "size": 256, "classes": 21, "radius": 5},
    {"batch": 1, "size": 512, "classes": 21, "radius": 5},
]
PATCHES_LIMIT = 256


def worker(case, method, xla, runs):
    """Seconds of each run, and the rise of the peak memory in bytes."""
    import resource
    import time

    import numpy as np
    import tensorflow as tf

    from keras_wsseg.ops import gated_crf_energy

    def inputs(batch, size):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(batch, size, size, case["classes"])).astype("float32")
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1) / 6.0
        rgb = rng.random((batch, size, size, 3)) / 0.1
        features = np.concatenate([np.broadcast_to(grid, (batch, size, size, 2)), rgb], -1)
        return tf.nn.softmax(tf.constant(logits)), tf.constant(features, tf.float32)

    @tf.function(jit_compile=xla)
    def step(probabilities, features):
        with tf.GradientTape() as tape:
            tape.watch(probabilities)
            energy = tf.reduce_sum(
                gated_crf_energy(probabilities, features, case["radius"], filter_method=method)
            )
        return energy, tape.gradient(energy, probabilities)

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    step(*inputs(1, 16))
    pair = inputs(case["batch"], case["size"])
    before = peak()
    step(*pair)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        step(*pair)[1].numpy()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "memory": peak() - before}


def measure(case, method, xla, runs):
    """Runs `worker` in a process of its own."""
    call = [sys.executable, __file__, "--worker", json.dumps([case, method, xla, runs])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    out = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    return json.loads(out.stdout.splitlines()[-1])


def median(values):
    """The middle value."""
    return sorted(values)[len(values) // 2]


def best(case, method, runs, rounds):
    """Median time of the faster of graph and XLA, which of them, and the memory of the graph."""
    results = []
    for xla in (False, True):
        parts = [measure(case, method, xla, runs) for _ in range(rounds)]
        seconds = median([second for part in parts for second in part["seconds"]])
        results.append((seconds, "XLA" if xla else "graph"))
        if not xla:
            memory = median([part["memory"] for part in parts])
    return *min(results), memory


def main():
    """Prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="the first case alone")
    parser.add_argument("--rounds", type=int, default=1, help="processes a method and case")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(*json.loads(arguments.worker))))
        return
    columns = "probabilities|radius|tiles|ns a pixel|patches|times faster|memory tiles|patches|share"
    print("|", columns.replace("|", " | "), "|")
    print("|---" * 9 + "|")
    for case in CASES[:1] if arguments.quick else CASES:
        size = case["size"]
        shape = f"{case['batch']}×{size}×{size}×{case['classes']}"
        seconds, how, memory = best(case, "tiles", 15, arguments.rounds)
        pixels = case["batch"] * size * size
        row = (
            f"| {shape} | {case['radius']} | {1e3 * seconds:.1f} ms ({how}) | {1e9 * seconds / pixels:.0f} |"
        )
        if size > PATCHES_LIMIT:
            print(row, f" – | – | {memory / 1e6:.0f} MB | – | – |", flush=True)
            continue
        slow, slow_how, large = best(case, "patches", 3, arguments.rounds)
        print(
            row,
            f"{1e3 * slow:.0f} ms ({slow_how}) | {slow / seconds:.0f} | {memory / 1e6:.0f} MB |",
            f"{large / 1e6:.0f} MB | {memory / large:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
