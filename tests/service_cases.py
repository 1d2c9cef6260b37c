"""Segmenters to serve, a server in a thread, and clients, for the tests of the service."""

import asyncio
import http.client
import io
import itertools
import json
import pathlib
import re
import signal
import socket
import struct
import threading
import time
import zlib

import numpy as np
import onnx
from PIL import Image

from keras_wsseg.serving.limits import ServiceLimits
from keras_wsseg.serving.server import Server, listen
from keras_wsseg.serving.service import Service

CLASS_NAMES = ("road", "sky", "Bäume", "car")
PALETTE = ((10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200))
# Nothing here takes that long, unless it never ends.
PATIENCE = 120


def write_segmenter(path, channels=3, depth=0, value_range=(0, 255)):
    """Writes a segmenter of convolutions, built node by node, since TensorFlow would take seconds to start.

    Args:
        path: file to write.
        channels: of its images.
        depth: further layers of 32 channels, to make it slow.
        value_range: of its images.
    """
    rng = np.random.default_rng(0)
    nodes = [onnx.helper.make_node("Transpose", ["image"], ["x0"], perm=[0, 3, 1, 2])]
    weights = []
    widths = [channels, *[32] * depth, len(CLASS_NAMES)]
    for layer, (inner, outer) in enumerate(itertools.pairwise(widths)):
        kernel = rng.normal(size=(outer, inner, 3, 3)) / np.sqrt(9 * inner)
        weights.append(onnx.numpy_helper.from_array(kernel.astype("float32"), f"w{layer}"))
        names = [f"x{layer}", f"w{layer}"], [f"x{layer + 1}"]
        nodes.append(onnx.helper.make_node("Conv", *names, pads=[1] * 4))
    nodes += [
        onnx.helper.make_node("Transpose", [f"x{depth + 1}"], ["logits"], perm=[0, 2, 3, 1]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        onnx.helper.make_node("ArgMax", ["logits"], ["best"], axis=-1, keepdims=0),
        onnx.helper.make_node("Cast", ["best"], ["classes"], to=onnx.TensorProto.UINT8),
    ]
    size = ["batch", "height", "width"]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "by_hand",
        [value("image", onnx.TensorProto.FLOAT, [*size, channels])],
        [
            value("probabilities", onnx.TensorProto.FLOAT, [*size, len(CLASS_NAMES)]),
            value("classes", onnx.TensorProto.UINT8, size),
        ],
        weights,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    about = {
        "class_names": json.dumps(CLASS_NAMES),
        "palette": json.dumps(PALETTE),
        "value_range": json.dumps(value_range),
        "channels": str(channels),
        "preprocessing": "none",
        "producer_version": "0.1.0",
        "method": "gated CRF",
    }
    onnx.helper.set_model_props(model, about)
    onnx.save(model, path)
    return path


class GatedSegmenter:
    """Says class 1 everywhere, but not before it is let."""

    path = pathlib.Path("gated.onnx")
    class_names, palette = CLASS_NAMES, np.array(PALETTE, np.uint8)
    value_range, channels, metadata, provider_note = (0.0, 255.0), 3, {}, "none"
    outputs = ("probabilities", "classes")

    def __init__(self):
        self.gate = threading.Event()
        self.images = []

    def __call__(self, image):
        self.images.append(image)
        assert self.gate.wait(PATIENCE)
        return np.ones(image.shape[:2], np.uint8)


class RunningServer:
    """A server in a thread of this process, on a port of its own."""

    def __init__(self, segmenter, allow_origins=(), **limits):
        self.service = Service(segmenter, ServiceLimits(**limits))
        self.said = []
        self.server = Server(self.service, allow_origins, self.said.append)
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(lambda: self.said)

    def _run(self):
        asyncio.run(self.server.serve([self._listener]))

    def signal(self):
        """What SIGTERM does."""
        self.server.handle_exit(signal.SIGTERM, None)

    def stop(self):
        """Stops it, and waits for the end."""
        if self._thread.is_alive():
            self.signal()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def ask(self, *arguments, **more):
        return ask(self.port, *arguments, **more)

    def metric(self, name):
        """The value of a metric without labels, or the sum over its labels."""
        lines = self.ask("GET", "/metrics")[2].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def ask(port, method, path, body=None, media_type="image/png", headers=None):
    """One request: `(status, headers in small letters, body)`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    sent = {**({} if body is None or media_type is None else {"Content-Type": media_type}), **(headers or {})}
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def check_refused(answer, status, text):
    """An answer must be a refusal that says in one sentence what `text`, a pattern, finds."""
    found, headers, body = answer
    assert (found, headers["content-type"]) == (status, "application/json"), body
    (said,) = json.loads(body).values()
    assert re.search(text, said) and "\n" not in said and "Traceback" not in said, said


class Asking(threading.Thread):
    """A request in a thread; `answer` is there after `join`."""

    def __init__(self, port, *arguments, **more):
        super().__init__(daemon=True)
        self._asked = (port, *arguments), more
        self.answer = None
        self.start()

    def run(self):
        self.answer = ask(*self._asked[0], **self._asked[1])

    def result(self):
        self.join(PATIENCE)
        assert self.answer is not None
        return self.answer


def talk(port, data):
    """A connection on which `data` was sent as it is."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(data)
    return connection


def received(connection):
    """All that the other side sends until it closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def wait_until(condition):
    """Waits for something that other threads bring about."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def noise(height=24, width=31, channels=3, seed=0):
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array, form="PNG", **options):
    with io.BytesIO() as file:
        Image.fromarray(array).save(file, form, **options)
        return file.getvalue()


def png_of_size(width, height):
    """A PNG that says to be large and holds next to nothing."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def decoded(body):
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image)
