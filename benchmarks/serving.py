"""The load that `keras-wsseg serve` sustains on this machine, and its behavior above it.

python benchmarks/serving.py                     a U-Net of three levels, 4 classes, images of 256 x 256
python benchmarks/serving.py hearts.onnx --size 512
python benchmarks/serving.py --quick             two seconds for each row

A server in a separate process with its default limits; clients in threads of this process, which share the
same cores. Each client keeps its connection and sends its next image when it has its mask; after a 503 it
waits as long as Retry-After says. As many clients as the service has places (workers and queue) must see no
error, more of them only masks and 503s, and those whose images are pending at SIGTERM must get their masks:
otherwise the exit status is 1.
"""

import argparse
import collections
import http.client
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from PIL import Image

FILTERS, CLASSES = (16, 32, 64), 4


def make_segmenter(path):
    """Exports a small U-Net of random weights: the time does not depend on what it has learned."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras_wsseg.export import to_onnx
    from keras_wsseg.models import UNet

    to_onnx(UNet(CLASSES, filters=FILTERS), path)
    return path


def photograph(size):
    """JPEG of soft shapes with a little noise, as large as a photograph of its size."""
    rng = np.random.default_rng(0)
    shapes = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((size, size), Image.BICUBIC)
    noisy = np.clip(np.asarray(shapes) + rng.normal(0, 6, (size, size, 3)), 0, 255).astype(np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(noisy).save(file, "JPEG", quality=90)
        return file.getvalue()


class Server:
    """`keras-wsseg serve` in a process of its own."""

    def __init__(self, segmenter):
        command = [sys.executable, "-m", "keras_wsseg.cli", "serve", str(segmenter), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().partition("127.0.0.1:")[2].split()[0])

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def progress(self):
        """Requests in flight and images done, at one moment."""
        lines = (line.split() for line in self.get("/metrics").splitlines() if line[0] != "#")
        metrics = {line[0]: int(float(line[1])) for line in lines}
        return metrics["keras_wsseg_in_flight"], metrics["keras_wsseg_images_total"]


class Client(threading.Thread):
    """Sends at least one image and others until `end`, and keeps `(status, seconds)` of each."""

    def __init__(self, port, image, end):
        super().__init__()
        self.seen = []
        self._port, self._image, self._end = port, image, end
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        while not self.seen or time.perf_counter() < self._end:
            begun = time.perf_counter()
            pause = 0.0
            try:
                connection.request("POST", "/predict", self._image, {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                answer.read()
                status, pause = answer.status, float(answer.headers.get("Retry-After", 0))
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                connection.close()
            self.seen.append((status, time.perf_counter() - begun))
            time.sleep(pause)
        connection.close()


def load(server, image, clients, seconds):
    """Lets that many clients loose; prints a row and returns how often each status was seen."""
    begun = time.perf_counter()
    threads = [Client(server.port, image, begun + seconds) for _ in range(clients)]
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    seen = [pair for thread in threads for pair in thread.seen]
    counts = collections.Counter(status for status, _ in seen)
    times = [1e3 * each for status, each in seen if status == 200]
    median, p95, p99 = np.percentile(times, [50, 95, 99])
    refused, wrong = counts[503], sum(counts.values()) - counts[200] - counts[503]
    rate = counts[200] / took
    print(
        f"| {clients} | {rate:.1f} | {median:.0f} ms | {p95:.0f} ms | {p99:.0f} ms | {refused} | {wrong} |",
        flush=True,
    )
    return counts


def stop_under_load(server, image, clients):
    """SIGTERM once the image of every client is there; returns whether all got masks, and status 0."""
    _, before = server.progress()
    threads = [Client(server.port, image, end=0.0) for _ in range(clients)]
    in_flight, done = server.progress()
    while in_flight + done < before + clients and any(thread.is_alive() for thread in threads):
        in_flight, done = server.progress()
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    counts = collections.Counter(status for thread in threads for status, _ in thread.seen)
    status = server.process.wait(60)
    print(f"SIGTERM with {in_flight} requests in flight: answers {dict(counts)}, exit status {status}")
    return set(counts) == {200} and status == 0


def direct_rate(path, image, seconds):
    """Images a second of the segmenter alone in this process: decoded once, one after the other."""
    from keras_wsseg.export import OnnxSegmenter

    segmenter = OnnxSegmenter(path)
    array = np.asarray(Image.open(io.BytesIO(image)))
    segmenter(array)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        segmenter(array)
        count += 1
    return count / (time.perf_counter() - begun)


def main():
    """Prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("segmenter", nargs="?", help="ONNX file (default: a U-Net made here)")
    parser.add_argument("--size", type=int, default=256, help="height and width of the images")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row")
    parser.add_argument("--quick", action="store_true", help="two seconds for each row")
    arguments = parser.parse_args()
    seconds = 2.0 if arguments.quick else arguments.seconds
    image = photograph(arguments.size)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.segmenter or make_segmenter(pathlib.Path(folder) / "unet.onnx")
        print(f"The segmenter alone: {direct_rate(path, image, seconds):.1f} images a second")
        server = Server(path)
        try:
            all_well = _all_loads(server, image, seconds)
        finally:
            server.process.kill()
    return 0 if all_well else 1


def _all_loads(server, image, seconds):
    limits = json.loads(server.get("/info"))["limits"]
    places = limits["workers"] + limits["queue"]
    print(f"Images of {len(image)} bytes; {limits['workers']} workers, {places} places\n")
    print("| clients | masks a second | median | 95 % | 99 % | refused (503) | other errors |")
    print("|---" * 7 + "|")
    load_counts = {
        clients: load(server, image, clients, seconds)
        for clients in (1, 2, 4, 8, places, 2 * places, 8 * places)
    }
    print()
    held = all(set(seen) == {200} for clients, seen in load_counts.items() if clients <= places)
    bounded = all(set(seen) <= {200, 503} for seen in load_counts.values())
    return stop_under_load(server, image, places) and held and bounded


if __name__ == "__main__":
    sys.exit(main())
