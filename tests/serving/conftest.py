"""Servers that tests share."""

import pytest
from service_cases import GatedSegmenter, RunningServer, write_segmenter

from keras_wsseg.export import OnnxSegmenter


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory):
    path = write_segmenter(tmp_path_factory.mktemp("serving") / "Straße.onnx")
    return OnnxSegmenter(path, threads=1)


@pytest.fixture(scope="session")
def running(segmenter):
    """A server with narrow limits."""
    server = RunningServer(segmenter, max_bytes=100_000, max_pixels=50_000, queue=64)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def impatient(segmenter):
    """A server that waits for nobody, for those who are to be left."""
    server = RunningServer(segmenter, max_bytes=100_000, max_pixels=50_000, read_timeout=1.0)
    yield server
    server.stop()


@pytest.fixture
def gated():
    """A function that starts a server whose segmenter waits to be let: `(server, segmenter)`."""
    started = []

    def start(**limits):
        segmenter = GatedSegmenter()
        started.append((RunningServer(segmenter, **limits), segmenter))
        return started[-1]

    yield start
    for server, segmenter in started:
        segmenter.gate.set()
        server.stop()
