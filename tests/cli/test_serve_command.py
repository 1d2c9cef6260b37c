import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from service_cases import PATIENCE, ask, check_refused, decoded, encoded, noise, wait_until, write_segmenter

from keras_wsseg.export import OnnxSegmenter


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An ONNX file that takes a moment for an image."""
    return write_segmenter(tmp_path_factory.mktemp("serve") / "a b.onnx", depth=6)


class Process:
    """`keras-wsseg serve` in a process of its own."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "keras_wsseg.cli", "serve", *map(str, arguments), "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.first_line = self.process.stdout.readline()
        if not self.first_line:
            raise AssertionError(self.process.communicate()[1])
        self.port = int(self.first_line.partition("127.0.0.1:")[2].split()[0])

    def metric(self, *names):
        """The sum of metrics at one moment."""
        lines = [line.split() for line in ask(self.port, "GET", "/metrics")[2].decode().splitlines()]
        return sum(float(line[1]) for line in lines if line[0] in names)

    def end(self):
        """`(status, further lines, error stream)` once it ends by itself."""
        out, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, said


@pytest.fixture
def start():
    started = []

    def run(*arguments):
        started.append(Process(*arguments))
        return started[-1]

    yield run
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_all_that_is_in_flight_is_answered_when_it_is_told_to_stop(served, start):
    server = start(served, "--workers", 1, "--threads", 1, "--queue", 20)
    assert server.first_line.startswith("Serving a b.onnx on http://127.0.0.1:")
    images = [noise(400, 400, seed=k) for k in range(8)]
    sent = [encoded(image) for image in images]
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(ask, server.port, "POST", "/predict", body) for body in sent]
        wait_until(lambda: server.metric("keras_wsseg_in_flight", "keras_wsseg_images_total") == 8)
        in_flight = server.metric("keras_wsseg_in_flight")
        server.process.terminate()
        status, out, said = server.end()
        answers = [answer.result() for answer in answers]
    assert in_flight >= 2
    assert (status, said) == (0, "")
    assert out.splitlines()[-1] == "Stopped; images segmented: 8"
    segmenter = OnnxSegmenter(served)
    for image, (code, _, body) in zip(images, answers, strict=True):
        assert code == 200
        np.testing.assert_array_equal(decoded(body), segmenter(image))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_what_is_not_done_in_time_is_given_up_and_told(served, start):
    server = start(served, "--workers", 1, "--threads", 1, "--grace", 0)
    answers = []
    asking = [
        threading.Thread(
            target=lambda: answers.append(ask(server.port, "POST", "/predict", encoded(noise(1200, 1200))))
        )
        for _ in range(2)
    ]
    for one in asking:
        one.start()
    wait_until(lambda: server.metric("keras_wsseg_queue_depth") == 1)
    server.process.terminate()
    status, out, said = server.end()
    for one in asking:
        one.join(PATIENCE)
    assert (status, said) == (1, "")
    assert out.splitlines()[-1] == "Stopped; images segmented: 0, requests abandoned: 2"
    for answer in answers:
        check_refused(answer, 503, "The service is stopping.")


def test_limits_are_those_of_the_options(served, start):
    options = "--queue 3 --max-bytes 1000 --max-pixels 400 --timeout 7.5 --read-timeout 2 --workers 1"
    server = start(served, *options.split(), "--allow-origin", "https://a.example")
    status, headers, body = ask(server.port, "GET", "/", headers={"Origin": "https://a.example"})
    assert status == 200 and headers["access-control-allow-origin"] == "https://a.example"
    assert json.loads(body)["limits"] == {
        "bytes": 1000,
        "pixels": 400,
        "workers": 1,
        "queue": 3,
        "seconds": 7.5,
        "seconds_to_send": 2.0,
    }
    check_refused(ask(server.port, "POST", "/predict", encoded(noise())), 413, "at most 1000 bytes")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_what_clients_do_wrong_is_not_logged(served, start):
    server = start(served)
    for charset in ("utf-8", "undefined"):
        media_type = f"multipart/form-data; boundary=x; charset={charset}"
        check_refused(ask(server.port, "POST", "/predict", b"no form", media_type), 400, "must hold one file")
    check_refused(ask(server.port, "POST", "/predict", b"garbage"), 422, "must be a PNG, JPEG")
    check_refused(ask(server.port, "POST", "/predict", encoded(noise(), "TIFF")[:-9]), 422, "a whole file")
    server.process.terminate()
    assert server.end()[2] == ""


def test_it_starts_no_framework(served):
    code = """
import os, signal, sys, threading
from keras_wsseg.cli import serve_command
from keras_wsseg.cli.main import main
def say(line):
    print(line, flush=True)
    if line.startswith("Serving"):
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()
serve_command._say = say
status = main(["serve", sys.argv[1], "--port", "0"])
print(status, *{"keras", "tensorflow", "jax", "torch", "scipy", "onnx"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(served)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_a_port_in_use_is_told_in_a_line(served, fails):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = fails("serve", served, "--port", port)
    where = f"127.0.0.1:{port}: Address already in use"
    assert text == f"`host` and `port` must be a free local address. Received: {where}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["x.keras"],
            "A segmenter to serve must be an .onnx file of `keras-wsseg export`. Received: 'x.keras'",
        ),
        (["absent.onnx"], "`path` must be an existing file. Received: path='absent.onnx'"),
        (["absent.onnx", "--queue", "-1"], "`queue` must be an integer from 0 to 100000. Received: queue=-1"),
        (["absent.onnx", "--queue", "x"], "argument --queue: invalid int value: 'x'"),
        (
            ["absent.onnx", "--timeout", "0"],
            "`timeout` must be a number above 0. Received: timeout=0.0",
        ),
        (
            ["absent.onnx", "--allow-origin", "example.org"],
            "`allow_origin` must be '*', or scheme://host or scheme://host:port",
        ),
        ([], "the following arguments are required: SEGMENTER.onnx"),
    ],
)
def test_wrong_words_are_told_in_a_line(fails, arguments, text):
    assert fails("serve", *arguments).startswith(text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--threads", "0"], "`threads` must be an integer of at least 1. Received: threads=0"),
        (["--provider", "abacus"], "`providers` must be among those of the installed ONNX Runtime"),
    ],
)
def test_how_it_runs_is_checked_by_the_segmenter(served, fails, options, text):
    assert fails("serve", served, *options).startswith(text)


def test_segmenters_of_other_than_gray_and_rgb_images_are_refused(tmp_path, fails):
    path = write_segmenter(tmp_path / "five.onnx", channels=5)
    assert fails("serve", path) == "The segmenter must take gray or RGB images. Received: 5 channels"


def test_missing_packages_are_named_with_their_extra(served, fails, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("keras_wsseg.serving.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    text = "`serve` needs further packages: pip install 'keras-wsseg[serve]'. Received: no uvicorn"
    assert fails("serve", served) == text
